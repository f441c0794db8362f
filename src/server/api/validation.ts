// Checks what arrives against a route's typebox schemas and says in one sentence what is wrong with it.
// Fastify's own validator coerces types and drops unknown members; here a number is never accepted for a string.
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { HeadraceError } from '../../core/index.js'
import { HttpErrors } from '../errors.js'

/** As Fastify calls the parts of a request. */
export type Part = 'body' | 'querystring' | 'params' | 'headers'

/** Fastify calls the returned function with the part of each request. */
export function compileValidator(
  schema: TSchema,
  part: Part,
): (data: unknown) => { value: unknown } | { error: HeadraceError } {
  const validator = Compile(schema)
  return (data) => {
    // No body is like an empty one, so that the message names the member that is missing.
    const value = part === 'body' ? (data ?? {}) : part === 'querystring' ? readQuery(schema, data) : data
    if (validator.Check(value)) return { value }
    return { error: problem(part, validator.Errors(value) as readonly SchemaError[], value) }
  }
}

/** A query is text: what the schema calls an integer or a boolean is read as one, and otherwise left to be refused. */
function readQuery(schema: TSchema, data: unknown): Record<string, unknown> {
  const { properties = {} } = schema as { properties?: Readonly<Record<string, { readonly type?: string }>> }
  const query: Record<string, unknown> = { ...(data as object) }
  for (const [name, text] of Object.entries(query)) {
    const type = properties[name]?.type
    if (type === 'integer' && typeof text === 'string' && /^\d{1,15}$/.test(text)) query[name] = Number(text)
    if (type === 'boolean' && (text === 'true' || text === 'false')) query[name] = text === 'true'
  }
  return query
}

interface SchemaError {
  readonly keyword: string
  /** `#/properties/version/anyOf/1` */
  readonly schemaPath: string
  /** `/version/alias` */
  readonly instancePath: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message: string
}

const PART_NAMES = { querystring: 'query parameter', params: 'path parameter', headers: 'header' } as const

function problem(part: Part, errors: readonly SchemaError[], value: unknown): HeadraceError {
  // A member that nobody knows is reported as itself, and a union by what its alternatives want.
  const relevant = errors.filter(({ keyword }) => keyword !== 'boolean' && keyword !== 'anyOf')
  const first = relevant[0]!
  const unknown = first.keyword === 'additionalProperties' && (first.params['additionalProperties'] as string[])[0]
  const missing = first.keyword === 'required' && (first.params['requiredProperties'] as string[])[0]
  const path = unknown || missing ? `${first.instancePath}/${unknown || missing}` : first.instancePath
  const found = unknown || missing ? undefined : at(value, path)
  const here = relevant.filter((error) => error.instancePath === first.instancePath)
  // What must be "latest" need not be said to be a string.
  const constants = new Set(here.filter(({ keyword }) => keyword === 'const').map(({ schemaPath }) => schemaPath))
  const wanted = here
    .filter(({ keyword, schemaPath }) => keyword !== 'type' || !constants.has(schemaPath))
    .map(expectation)
  // Each alternative of a union has a member of its own that is missing.
  const absent = here
    .filter(({ keyword }) => keyword === 'required')
    .map(({ params }) => (params['requiredProperties'] as string[])[0]!)
  const paths = missing ? absent.map((name) => `${first.instancePath}/${name}`) : [path]
  const where = path === '' ? `the ${part === 'body' ? 'body' : 'query'}` : [...new Set(paths.map(dotted))].join(' or ')
  const expected = unknown ? 'left out (it is unknown here)' : missing ? 'there' : [...new Set(wanted)].join(' or ')
  const arrived = missing ? 'nothing' : unknown ? 'it' : excerpt(found)
  return part === 'body'
    ? HttpErrors.BODY_INVALID({ where, expected, arrived })
    : HttpErrors.PARAMETER_INVALID({ in: PART_NAMES[part], where, expected, arrived })
}

const dotted = (path: string) => `"${path.slice(1).replaceAll('/', '.')}"`

function expectation({ keyword, params, message }: SchemaError): string {
  switch (keyword) {
    case 'type':
      return `${/^[aeiou]/.test(String(params['type'])) ? 'an' : 'a'} ${params['type']}`
    case 'const':
      return JSON.stringify(params['allowedValue'])
    case 'enum':
      return `one of ${(params['allowedValues'] as unknown[]).map((allowed) => JSON.stringify(allowed)).join(', ')}`
    case 'required':
      return `an object with ${(params['requiredProperties'] as string[]).map((name) => JSON.stringify(name)).join(', ')}`
    case 'minimum':
      return `at least ${params['limit']}`
    case 'maximum':
      return `at most ${params['limit']}`
    case 'maxLength':
      return `at most ${params['limit']} characters long`
    case 'minItems':
      return params['limit'] === 1 ? 'a list that is not empty' : `a list of at least ${params['limit']}`
    case 'maxItems':
      return `a list of at most ${params['limit']}`
    case 'minLength':
      return params['limit'] === 1 ? 'not empty' : `at least ${params['limit']} characters long`
    default:
      return message.replace(/^must /, '')
  }
}

function at(value: unknown, path: string): unknown {
  let found = value
  for (const key of path.split('/').slice(1)) found = (found as Record<string, unknown> | undefined)?.[key]
  return found
}

function excerpt(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}
