// One line a route: fields in, an object out.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Need } from '../../access/index.js'
import type { Api } from '../api/route.js'
import { sendAnswer } from './answer.js'
import { checkTexts } from './bodies.js'
import { Fields, isMembers } from './fields.js'

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** Everything under it is as MLflow's server has it under /api/2.0. */
export const BASE = '/mlflow/api/2.0'
export const TAGS = ['MLflow'] as const

export interface Call {
  readonly fields: Fields
  readonly request: FastifyRequest
  /** A parameter of the path. */
  param(name: string): string
}

export interface RouteOptions {
  readonly description?: string
  /** What a caller needs when it is not what the method says. */
  readonly needs?: Need
}

/** `path` is below /mlflow of the API. Fields are those of the query for GET, else of the body. */
export function route(
  api: Api,
  method: Method,
  path: string,
  summary: string,
  work: (call: Call) => Promise<object>,
  { description, needs }: RouteOptions = {},
): void {
  api.route({
    method,
    url: `${BASE}/mlflow/${path}`,
    schema: {
      tags: TAGS,
      summary,
      ...(description === undefined ? {} : { description }),
      response: { 200: Type.Object({}, { additionalProperties: true }) },
    },
    // The fields are looked at one by one: errors have MLflow's shape.
    validatorCompiler: () => () => true,
    config: needs === undefined ? {} : { needs },
    handler: async (request, reply) => {
      const source: unknown = method === 'GET' ? request.query : (request.body ?? {})
      if (method === 'GET') checkTexts(source, 0)
      const fields = new Fields(isMembers(source) ? source : {})
      const param = (name: string) => {
        const value = (request.params as Readonly<Record<string, string>>)[name]!
        checkTexts(value, 0)
        return value
      }
      return sendAnswer(reply, await work({ fields, request, param }))
    },
  })
}
