// The shape that all of the API's files share: a Fastify instance whose requests are typed by their route's typebox schemas,
// and what a schema says besides the shapes, for the OpenAPI document.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider } from 'fastify'
import type { Static, TObject, TSchema } from 'typebox'
import type { ServerContext } from '../context.js'

interface TypeboxProvider extends FastifyTypeProvider {
  readonly validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  readonly serializer: unknown
}

export type Api = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeboxProvider>

/** Adds the routes of one area to an instance of its own. */
export type Area = (api: Api, context: ServerContext) => void

/** What a route takes and answers, and what the documentation says about it. */
export interface RouteSchema {
  readonly tags: readonly [string]
  readonly summary: string
  readonly description?: string
  readonly params?: TObject
  readonly querystring?: TObject
  readonly headers?: TObject
  readonly body?: TSchema
  /** Content type of the body; default JSON. */
  readonly consumes?: string
  /** By status. Errors are the same everywhere and are not listed. */
  readonly response: Readonly<Record<number, TSchema>>
  /** Content type of the answer; default JSON. */
  readonly produces?: string
}

declare module 'fastify' {
  // Every route has all of it: a route without documentation does not compile.
  interface FastifySchema extends Pick<RouteSchema, 'tags' | 'summary' | 'description' | 'consumes' | 'produces'> {}
}
