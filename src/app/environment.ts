// Environment overrides: HEADRACE_<SECTION>_<KEY> sets a scalar of the configuration, for example HEADRACE_SERVER_PORT=9000.
import { z } from 'zod'
import type { ConfigProblem } from './errors.js'
import { projectSchema } from './project.js'

/** Variables that hosts set by a name of their own. */
const ALIASES: Readonly<Record<string, string>> = {
  'store.redisUrl': 'REDIS_URL',
  'store.databaseUrl': 'DATABASE_URL',
  'store.blobs': 'HEADRACE_BLOBS',
  'features.kafkaBrokers': 'KAFKA_BROKERS',
  'features.kafka.tls': 'KAFKA_SSL',
  'features.kafka.mechanism': 'KAFKA_SASL_MECHANISM',
  'features.kafka.username': 'KAFKA_USERNAME',
  'features.kafka.password': 'KAFKA_PASSWORD',
}

/** Sections of things that a project names: no scalars that a variable could set. */
const BY_NAME: ReadonlySet<string> = new Set(['endpoints', 'datasets', 'plans'])

export interface Setting {
  /** `server.port` */
  readonly path: string
  /** `HEADRACE_SERVER_PORT` */
  readonly variable: string
  readonly type: string
  readonly default: unknown
  readonly description: string
}

interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly anyOf?: readonly JsonSchema[]
  readonly default?: unknown
  readonly description?: string
}

/** Every scalar of the fixed sections, from the schema itself; the configuration reference is made from this. */
export function settings(): Setting[] {
  const schema = z.toJSONSchema(projectSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
  return (
    Object.entries(schema.properties ?? {})
      .filter(([section]) => !BY_NAME.has(section))
      .flatMap(([section, value]) => scalars(value, [section]))
      // Definitions are code.
      .filter(({ path }) => path !== 'features.definitions')
  )
}

function scalars(schema: JsonSchema, path: readonly string[]): Setting[] {
  if (schema.properties)
    return Object.entries(schema.properties).flatMap(([key, value]) => scalars(value, [...path, key]))
  return [
    {
      path: path.join('.'),
      variable: `HEADRACE_${path.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`,
      type: schema.enum
        ? schema.enum.map((value) => JSON.stringify(value)).join(' | ')
        : String(schema.type ?? schema.anyOf?.map((part) => part.type).join(' | ')),
      default: schema.default,
      description: schema.description ?? '',
    },
  ]
}

/** The project with what the environment sets laid over it. Values that do not parse are reported, never ignored. */
export function withEnvironment(
  project: Record<string, unknown>,
  environment: Readonly<Record<string, string | undefined>>,
): { project: Record<string, unknown>; problems: ConfigProblem[] } {
  const problems: ConfigProblem[] = []
  let result = project
  for (const setting of settings()) {
    const alias = ALIASES[setting.path]
    const text = environment[setting.variable] ?? (alias && environment[alias])
    if (text === undefined) continue
    const value = parse(text, setting.type)
    if (value === undefined)
      problems.push({ path: setting.variable, problem: `expected ${setting.type}, got ${JSON.stringify(text)}` })
    else result = set(result, setting.path.split('.'), value)
  }
  return { project: result, problems }
}

function parse(text: string, type: string): unknown {
  if (type.includes(' | ') && !type.startsWith('"')) {
    for (const part of type.split(' | ')) {
      const value = parse(text, part)
      if (value !== undefined) return value
    }
    return undefined
  }
  if (type === 'boolean')
    return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : undefined
  if (type === 'number' || type === 'integer')
    return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined
  if (type === 'array') return text.split(',').map((part) => part.trim())
  if (type === 'object') return object(text)
  return text
}

function object(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function set(object: Record<string, unknown>, [key, ...rest]: string[], value: unknown): Record<string, unknown> {
  const inner = object[key!]
  return {
    ...object,
    [key!]:
      rest.length === 0
        ? value
        : set(typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {}, rest, value),
  }
}
