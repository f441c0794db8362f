// The OpenAPI 3.1 document: the routes' own schemas, and a path of its own for each live endpoint with its features and tensors.
import type { TObject, TSchema } from 'typebox'
import type { DescribedRoute } from './catalogue.js'
import type { RouteNeed } from './needs.js'
import { packageVersion } from './package-version.js'
import type { RouteSchema } from './route.js'
import { ErrorReply } from './schemas.js'

const JSON_CONTENT = 'application/json'

/** OpenAPI operations of a document, as `paths[path][method]`. */
type Paths = Record<string, Record<string, object>>

export function openApiDocument(title: string, routes: readonly DescribedRoute[]): object {
  const paths: Paths = {}
  const ids = new Set<string>()
  for (const { method, path, schema, needs } of routes) {
    paths[path] ??= {}
    paths[path][method.toLowerCase()] = operation(operationId(method, path, ids), schema, needs)
  }
  return {
    openapi: '3.1.1',
    info: {
      title,
      version: packageVersion,
      description:
        'Predictions over three protocols, and what runs behind them. Errors are `{"error", "code"}` everywhere.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    // One of them, once there are keys.
    security: [{ bearer: [] }, { apiKey: [] }, { basic: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A key, or a token of an issuer in access.jwt' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        basic: { type: 'http', scheme: 'basic', description: 'The key is the password; the name does not matter' },
      },
      schemas: { Error: ErrorReply },
      responses: {
        Error: { description: 'It failed', content: { [JSON_CONTENT]: { schema: ref('schemas/Error') } } },
      },
    },
  }
}

function operation(operationId: string, schema: RouteSchema, needs: RouteNeed): object {
  const { tags, summary, description, params, querystring, headers, body, response } = schema
  const { consumes = JSON_CONTENT, produces = JSON_CONTENT } = schema
  const parameters = [
    ...parametersOf('path', params),
    ...parametersOf('query', querystring),
    ...parametersOf('header', headers),
  ]
  const requestBody = body ?? (consumes === JSON_CONTENT ? undefined : { type: 'string', format: 'binary' })
  const responses: Record<string, object> = { default: ref('responses/Error') }
  for (const [status, content] of Object.entries(response))
    responses[status] = {
      description: status === '503' ? 'It is not ready' : 'It worked',
      content: { [produces]: { schema: content } },
    }
  return {
    operationId,
    tags,
    summary,
    ...(description === undefined ? undefined : { description }),
    ...(parameters.length === 0 ? undefined : { parameters }),
    ...(requestBody === undefined
      ? undefined
      : { requestBody: { required: isRequired(requestBody), content: { [consumes]: { schema: requestBody } } } }),
    responses,
    ...(needs === 'open' ? { security: [] } : { 'x-headrace-needs': needs }),
  }
}

function parametersOf(where: 'path' | 'query' | 'header', schema: TObject | undefined): object[] {
  if (schema === undefined) return []
  const { properties, required = [] } = schema as unknown as {
    properties: Record<string, TSchema & { description?: string }>
    required?: readonly string[]
  }
  return Object.entries(properties).map(([name, { description, ...type }]) => ({
    name,
    in: where,
    required: required.includes(name),
    ...(description === undefined ? undefined : { description }),
    schema: type,
  }))
}

/** A body whose members may all be left out may be left out itself. */
function isRequired(body: object): boolean {
  const { type, required = [] } = body as { type?: string; required?: readonly string[] }
  return type !== 'object' || required.length > 0
}

/** `getApiV1ModelsName`, unique in the document. */
function operationId(method: string, path: string, taken: Set<string>): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter(Boolean)
  const base = method.toLowerCase() + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')
  let id = base
  for (let i = 2; taken.has(id); i++) id = `${base}${i}`
  taken.add(id)
  return id
}

function ref(to: string): { readonly $ref: string } {
  return { $ref: `#/components/${to}` }
}
