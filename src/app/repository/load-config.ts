// Reads the ModelConfig that a client wants a model loaded with. What can be honoured becomes an override; everything else must say
// nothing, or what is so anyway, which is known when the model is loaded (`checkRest`). Nothing is ignored in silence.
import { didYouMean } from '../../core/index.js'
import { OWN_PARAMETERS } from './config-of.js'
import { RepositoryErrors } from './errors.js'
import type { ModelOverride } from './override.js'
import type { ModelConfig } from './types.js'

/** Longer ones are no configuration of ours. */
const MAX_CONFIG_CHARS = 256 * 1024
const MAX_DELAY_US = 60_000_000
const MAX_LISTED = 1000

export interface ReadConfig {
  readonly override: ModelOverride
  /** Keys that are right only if the loaded model says the same. */
  readonly rest: Readonly<Record<string, unknown>>
}

/** Throws REPOSITORY_CONFIG_INVALID, REPOSITORY_CONFIG_UNSUPPORTED. */
export function readConfig(model: string, text: string): ReadConfig {
  const reader = new Reader(model)
  if (text.length > MAX_CONFIG_CHARS)
    throw reader.invalid(`it is ${text.length} characters long, and ${MAX_CONFIG_CHARS} are read`)
  const config = reader.object(parse(reader, text), 'the config')
  for (const key of Object.keys(config)) if (!KEYS.includes(key)) throw reader.unknown(key, KEYS, '')
  return read(reader, config)
}

function parse(reader: Reader, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw reader.invalid(`it is not JSON (${(cause as Error).message})`, cause)
  }
}

/** Of ModelConfig; those that are not read here are compared. */
const KEYS = [
  'name',
  'platform',
  'backend',
  'runtime',
  'version_policy',
  'max_batch_size',
  'input',
  'output',
  'batch_input',
  'batch_output',
  'optimization',
  'dynamic_batching',
  'sequence_batching',
  'ensemble_scheduling',
  'instance_group',
  'default_model_filename',
  'cc_model_filenames',
  'metric_tags',
  'parameters',
  'model_warmup',
  'model_operations',
  'model_transaction_policy',
  'model_repository_agents',
  'response_cache',
  'model_metrics',
]

const READ = new Set(['version_policy', 'max_batch_size', 'dynamic_batching', 'instance_group'])

function read(reader: Reader, config: Readonly<Record<string, unknown>>): ReadConfig {
  const maxBatchSize = reader.optionalInt(config['max_batch_size'], 'max_batch_size', 0, 2 ** 31 - 1)
  const dynamic = config['dynamic_batching']
  if (maxBatchSize === 0 && dynamic !== undefined && dynamic !== null)
    throw reader.invalid('"dynamic_batching" needs a "max_batch_size" above 0')
  const batching = {
    ...(maxBatchSize === 0 && { enabled: false }),
    // Triton's is never exceeded, not even under pressure.
    ...(maxBatchSize !== undefined &&
      maxBatchSize > 0 && { enabled: true, maxBatchSize, maxBatchSizeUnderPressure: maxBatchSize }),
    ...(dynamic !== undefined && dynamic !== null && readDynamicBatching(reader, dynamic, maxBatchSize)),
  }
  const instances = readInstances(reader, config['instance_group'])
  const versions = readVersionPolicy(reader, config['version_policy'])
  const override: ModelOverride = {
    ...(Object.keys(batching).length > 0 && { batching }),
    ...(instances !== undefined && { instances }),
    ...(versions !== undefined && { versions }),
  }
  const rest: Record<string, unknown> = Object.fromEntries(Object.entries(config).filter(([key]) => !READ.has(key)))
  // Our own say which version was described, and come back with what was read from us.
  const { parameters } = config
  if (typeof parameters === 'object' && parameters !== null && !Array.isArray(parameters))
    rest['parameters'] = Object.fromEntries(
      Object.entries(parameters).filter(([key]) => !key.startsWith(OWN_PARAMETERS)),
    )
  // Whether the model can have it shows when it is loaded.
  if (maxBatchSize !== undefined) rest['max_batch_size'] = maxBatchSize
  return { override, rest }
}

const DYNAMIC_KEYS = [
  'preferred_batch_size',
  'max_queue_delay_microseconds',
  'preserve_ordering',
  'priority_levels',
  'default_priority_level',
  'default_queue_policy',
  'priority_queue_policy',
]

function readDynamicBatching(
  reader: Reader,
  value: unknown,
  maxBatchSize: number | undefined,
): NonNullable<ModelOverride['batching']> {
  const where = 'dynamic_batching'
  const given = reader.object(value, `"${where}"`, DYNAMIC_KEYS)
  const sizes = reader.ints(given['preferred_batch_size'], `${where}.preferred_batch_size`, 1, 2 ** 31 - 1)
  const tooLarge = sizes.find((size) => maxBatchSize !== undefined && size > maxBatchSize)
  if (tooLarge !== undefined)
    throw reader.invalid(`"${where}.preferred_batch_size" has ${tooLarge}, more than max_batch_size ${maxBatchSize}`)
  const delayUs = reader.optionalInt(
    given['max_queue_delay_microseconds'],
    `${where}.max_queue_delay_microseconds`,
    0,
    MAX_DELAY_US,
  )
  if (!isEmpty(given['preserve_ordering']))
    throw reader.unsupported(`${where}.preserve_ordering`, 'Answers are sent as soon as they are there. Leave it out.')
  // The three classes that there are may be named, and so may "no levels".
  reader.oneOf(given['priority_levels'], `${where}.priority_levels`, [0, 3], 'There are three, chosen by a request.')
  reader.oneOf(given['default_priority_level'], `${where}.default_priority_level`, [0, 2], 'It is 2 of 3.')
  if (!isEmpty(given['priority_queue_policy']))
    throw reader.unsupported(`${where}.priority_queue_policy`, 'One queue has all priorities. Leave it out.')
  const maxQueueRows = readQueuePolicy(reader, given['default_queue_policy'], `${where}.default_queue_policy`)
  const preferredBatchSizes = [...new Set(sizes)].sort((a, b) => a - b)
  return {
    enabled: true,
    ...(preferredBatchSizes.length > 0 && { preferredBatchSizes }),
    ...(delayUs !== undefined && { maxDelayMs: delayUs / 1000 }),
    ...(maxQueueRows !== undefined && { maxQueueRows }),
  }
}

const POLICY_KEYS = ['timeout_action', 'default_timeout_microseconds', 'allow_timeout_override', 'max_queue_size']

/** Rows that may wait. Triton counts requests, which are rows where each has one; 0 is no limit there, and ours here. */
function readQueuePolicy(reader: Reader, value: unknown, where: string): number | undefined {
  if (value === undefined || value === null) return undefined
  const given = reader.object(value, `"${where}"`, POLICY_KEYS)
  reader.oneOf(given['timeout_action'], `${where}.timeout_action`, ['REJECT', 0], 'A request that is late is refused.')
  reader.oneOf(
    given['default_timeout_microseconds'],
    `${where}.default_timeout_microseconds`,
    [0],
    "Set the endpoint's deadlineMs in the configuration.",
  )
  return reader.optionalInt(given['max_queue_size'], `${where}.max_queue_size`, 0, 2 ** 31 - 1) || undefined
}

const GROUP_KEYS = [
  'name',
  'kind',
  'count',
  'rate_limiter',
  'gpus',
  'secondary_devices',
  'profile',
  'passive',
  'host_policy',
]

function readInstances(reader: Reader, value: unknown): number | undefined {
  if (isEmpty(value)) return undefined
  const where = 'instance_group'
  if (!Array.isArray(value)) throw reader.invalid(`"${where}" must be a list`)
  let instances = 0
  for (const [i, item] of value.entries()) {
    const group = reader.object(item, `"${where}[${i}]"`, GROUP_KEYS)
    for (const key of ['rate_limiter', 'gpus', 'secondary_devices', 'profile', 'passive', 'host_policy'])
      if (!isEmpty(group[key]))
        throw reader.unsupported(`${where}[${i}].${key}`, 'Set "providers" in model.json to compute elsewhere.')
    reader.oneOf(
      group['kind'],
      `${where}[${i}].kind`,
      ['KIND_AUTO', 'KIND_CPU', 'KIND_MODEL', 0, 2, 3],
      'Set "providers" in model.json to compute on a GPU.',
    )
    instances += reader.optionalInt(group['count'], `${where}[${i}].count`, 0, 64) || 1
  }
  if (instances > 64) throw reader.invalid(`"${where}" has ${instances} instances, and 64 are possible`)
  return instances
}

function readVersionPolicy(reader: Reader, value: unknown): ModelOverride['versions'] {
  if (value === undefined || value === null) return undefined
  const where = 'version_policy'
  const choices = ['latest', 'all', 'specific']
  const given = Object.entries(reader.object(value, `"${where}"`, choices))
  if (given.length === 0) return undefined
  if (given.length > 1) throw reader.invalid(`"${where}" must be one of ${choices.join(', ')}`)
  const [choice, detail] = given[0]!
  if (choice === 'latest') {
    const { num_versions } = reader.object(detail, `"${where}.latest"`, ['num_versions'])
    return { latest: reader.optionalInt(num_versions, `${where}.latest.num_versions`, 0, MAX_LISTED) || 1 }
  }
  if (choice === 'specific') {
    const { versions } = reader.object(detail, `"${where}.specific"`, ['versions'])
    const specific = reader.ints(versions, `${where}.specific.versions`, 1, Number.MAX_SAFE_INTEGER)
    if (specific.length === 0) throw reader.invalid(`"${where}.specific" names no version`)
    return { specific: [...new Set(specific)].sort((a, b) => a - b) }
  }
  reader.object(detail, `"${where}.all"`, [])
  return undefined
}

/**
 * Whether all that was not honoured is so anyway with one of the versions loaded.
 * Throws REPOSITORY_CONFIG_INVALID, REPOSITORY_CONFIG_UNSUPPORTED.
 */
export function checkRest(
  model: string,
  rest: Readonly<Record<string, unknown>>,
  loaded: readonly ModelConfig[],
): void {
  const reader = new Reader(model)
  for (const [key, given] of Object.entries(rest)) {
    const actual = loaded.map((config) => (config as unknown as Record<string, unknown>)[key])
    if (actual.some((value) => agrees(given, value))) continue
    const so = actual.find((value) => value !== undefined)
    if (so === undefined) throw reader.unsupported(key, 'Leave it out.')
    if (MATCHED.has(key)) {
      const reason = key === 'max_batch_size' ? ': its tensors have no open batch axis' : ''
      throw reader.invalid(`"${key}" is ${excerpt(given)}, but that of the model is ${excerpt(so)}${reason}`)
    }
    throw reader.unsupported(key, `It is ${excerpt(so)}. Leave it out, or change model.json in a new version.`)
  }
}

/** What a client may get wrong, rather than ask too much. */
const MATCHED = new Set(['name', 'platform', 'backend', 'input', 'output', 'max_batch_size', 'default_model_filename'])

function agrees(given: unknown, actual: unknown): boolean {
  if (isEmpty(given)) return true
  if (Array.isArray(given)) {
    if (!Array.isArray(actual)) return false
    if (given.every(isNamed) && actual.every(isNamed))
      return given.every((item) => actual.some((other) => other.name === item.name && agrees(item, other)))
    return given.length === actual.length && given.every((item, i) => agrees(item, actual[i]))
  }
  if (typeof given === 'object' && given !== null) {
    const known = typeof actual === 'object' && actual !== null ? (actual as Record<string, unknown>) : {}
    return Object.entries(given).every(([key, value]) => agrees(value, known[key]))
  }
  // Protocol buffers write 64-bit numbers as text.
  return given === actual || (typeof actual === 'number' && typeof given === 'string' && Number(given) === actual)
}

function isNamed(value: unknown): value is { readonly name: string } {
  return typeof value === 'object' && value !== null && typeof (value as { name?: unknown }).name === 'string'
}

/** As good as absent: what protocol buffers take an absent field for. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '' || value === 0 || value === '0')
    return true
  if (Array.isArray(value)) return value.length === 0
  if (typeof value === 'object') return Object.values(value).every(isEmpty)
  return typeof value === 'string' && DEFAULT_ENUMS.has(value)
}

const DEFAULT_ENUMS = new Set(['FORMAT_NONE', 'PRIORITY_DEFAULT', 'REJECT', 'KIND_AUTO'])

function excerpt(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length <= 200 ? text : `${text.slice(0, 197)}...`
}

/** Reads values of JSON as protocol buffers do: numbers may be text. */
class Reader {
  constructor(private readonly model: string) {}

  invalid(problem: string, cause?: unknown) {
    return RepositoryErrors.CONFIG_INVALID({ model: this.model, problem }, cause)
  }

  unsupported(key: string, remedy: string) {
    return RepositoryErrors.CONFIG_UNSUPPORTED({ model: this.model, key, remedy })
  }

  unknown(key: string, known: readonly string[], where: string) {
    const near = didYouMean(key, known)
    const remedy = near === undefined ? '' : `; did you mean "${near}"?`
    return this.invalid(`"${where}${key.slice(0, 100)}" is no key of it${remedy}`)
  }

  /** With nothing but `keys`, where they are given. */
  object(value: unknown, what: string, keys?: readonly string[]): Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.invalid(`${what} must be an object, not ${excerpt(value)}`)
    if (keys !== undefined)
      for (const key of Object.keys(value))
        if (!keys.includes(key)) throw this.unknown(key, keys, `${what.replaceAll('"', '')}.`)
    return value as Record<string, unknown>
  }

  optionalInt(value: unknown, where: string, min: number, max: number): number | undefined {
    if (value === undefined || value === null) return undefined
    const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isSafeInteger(number))
      throw this.invalid(`"${where}" must be a whole number, not ${excerpt(value)}`)
    if (number < min || number > max) throw this.invalid(`"${where}" must be from ${min} to ${max}, not ${number}`)
    return number
  }

  ints(value: unknown, where: string, min: number, max: number): number[] {
    if (value === undefined || value === null) return []
    if (!Array.isArray(value) || value.length > MAX_LISTED)
      throw this.invalid(`"${where}" must be a list of at most ${MAX_LISTED} whole numbers`)
    return value.map((item, i) => {
      const number = this.optionalInt(item, `${where}[${i}]`, min, max)
      if (number === undefined) throw this.invalid(`"${where}[${i}]" must be a whole number`)
      return number
    })
  }

  /** Absent or one of a few values. */
  oneOf(value: unknown, where: string, allowed: readonly (string | number)[], remedy: string): void {
    if (value === undefined || value === null) return
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
    if (!allowed.includes(number as string | number)) throw this.unsupported(where, remedy)
  }
}
