// Reading features of many entities in one request: for services that call no model here, and for looking at what a model would be given.
import Type from 'typebox'
import type { Features } from '../../app/index.js'
import { didYouMean } from '../../core/index.js'
import {
  FeatureErrors,
  pickFeatures,
  plainValue,
  planOf,
  type ReadPlan,
  type ServedFeatures,
  type Value,
} from '../../features/index.js'
import type { ServerContext } from '../context.js'
import { sendJson } from '../reply.js'
import { featuresOf } from './features.js'
import type { Api } from './route.js'
import { mapOf } from './schemas.js'

export const FEATURE_TAGS = ['Features'] as const

const MAX_ROWS = 10_000
const MAX_VALUES = 2_000_000
const BUDGET_MS = 1000
/** Plans of features that were picked lately. */
const MAX_PLANS = 500

interface OnlineRequest {
  readonly service?: string
  readonly features?: readonly string[]
  readonly entities?: unknown
  readonly request?: Readonly<Record<string, unknown>>
  readonly budgetMs?: number
}

const STATUSES = ['present', 'missing', 'expired', 'timeout', 'store-down', 'no-key', 'failed']
const SOURCES = ['online', 'on-demand', 'request', 'last-known', 'default']

export function featureOnlineRoutes(api: Api, { app }: ServerContext): void {
  const plans = new Map<string, ReadPlan>()

  function planFor({ project, reader }: Features, { service, features }: OnlineRequest): ReadPlan {
    if (service !== undefined) return reader.plan([service])
    const id = JSON.stringify(features)
    let plan = plans.get(id)
    if (plan === undefined) {
      plan = planOf([pickFeatures(project, features!)])
      if (plans.size >= MAX_PLANS) plans.clear()
      plans.set(id, plan)
    }
    return plan
  }

  api.post(
    '/api/v1/features/online',
    {
      schema: {
        tags: FEATURE_TAGS,
        summary: 'Features of entities as they are now',
        description: `The values that a model would be given, with where each one comes from. Entities are a list of objects, or columns of one length in which a single value stands for every row: one user with 500 items is {"user_id": "u1", "item_id": ["a", "b", …]}. At most ${MAX_ROWS} entities. A store that is down or slow is no error: the answer has defaults, and says so.`,
        body: Type.Union([
          Type.Object({ service: Type.String({ minLength: 1 }), ...COMMON }, { additionalProperties: false }),
          Type.Object(
            {
              features: Type.Array(Type.String(), {
                minItems: 1,
                maxItems: 2000,
                description: 'view:feature',
                examples: [['user_spend:spend_30d']],
              }),
              ...COMMON,
            },
            { additionalProperties: false },
          ),
        ]),
        response: { 200: Online },
      },
    },
    async (request, reply) => {
      const features = featuresOf(app)
      const body = request.body as OnlineRequest
      const plan = planFor(features, body)
      const table = tableOf(body.entities ?? {}, 'entities')
      const given = new Map(Object.entries(body.request ?? {}))
      const rows = rowsOf(table, given)
      if (rows > MAX_ROWS || rows * plan.features.length > MAX_VALUES) {
        const { length } = plan.features
        throw FeatureErrors.READ_TOO_LARGE({ rows, features: length, maxRows: MAX_ROWS, maxValues: MAX_VALUES })
      }
      const keys = new Map<string, readonly (string | number | undefined)[]>()
      for (const [name, values] of table.columns) {
        features.reader.checkKeyName(name)
        keys.set(name, columnOf(values, rows) as (string | number | undefined)[])
      }
      const inputs = new Map<string, readonly unknown[]>()
      for (const [name, values] of given) {
        checkInput(plan, name)
        inputs.set(name, spread(values, rows))
      }
      const { budgetMs = BUDGET_MS } = body
      const atMs = app.platform.clock.nowMs()
      const served = await features.reader.read(plan, { rows, keys, given: inputs, atMs, budgetMs })
      reply.hijack()
      sendJson(reply.raw, 200, answerOf(served))
    },
  )
}

interface Table {
  readonly rows: number | undefined
  readonly columns: ReadonlyMap<string, unknown>
}

/** Columns by name, from columns or from rows. A Map, because names come from outside. */
function tableOf(entities: unknown, where: string): Table {
  if (Array.isArray(entities)) {
    const columns = new Map<string, unknown[]>()
    for (let i = 0; i < entities.length; i++) {
      const row: unknown = entities[i]
      if (typeof row !== 'object' || row === null || Array.isArray(row))
        throw FeatureErrors.ROWS_INVALID({ where: `${where}[${i}]`, problem: 'it is no object' })
      for (const name of Object.keys(row)) {
        let column = columns.get(name)
        if (column === undefined) {
          column = new Array(entities.length)
          columns.set(name, column)
        }
        column[i] = (row as Record<string, unknown>)[name]
      }
    }
    return { rows: entities.length, columns }
  }
  if (typeof entities !== 'object' || entities === null)
    throw FeatureErrors.ROWS_INVALID({ where, problem: 'it is neither a list nor an object' })
  return { rows: undefined, columns: new Map(Object.entries(entities)) }
}

/** Of lists, which must agree; one row where there is none. Lists of the request count only where entities say nothing of rows. */
function rowsOf({ rows, columns }: Table, given: ReadonlyMap<string, unknown>): number {
  let found = rows
  for (const [name, values] of columns) {
    if (!Array.isArray(values)) continue
    found ??= values.length
    if (values.length !== found)
      throw FeatureErrors.ROWS_INVALID({
        where: `entities.${name.slice(0, 100)}`,
        problem: `it has ${values.length} rows, another column has ${found}`,
      })
  }
  for (const values of given.values()) if (Array.isArray(values) && columns.size === 0) found ??= values.length
  if (found === 0) throw FeatureErrors.ROWS_INVALID({ where: 'entities', problem: 'there is no row' })
  return found ?? 1
}

/** Null names no entity. */
function columnOf(values: unknown, rows: number): readonly unknown[] {
  const column = spread(values, rows)
  return column.includes(null) ? column.map((value) => value ?? undefined) : column
}

/** A single value stands for every row. */
function spread(values: unknown, rows: number): readonly unknown[] {
  if (Array.isArray(values) && values.length === rows) return values
  return new Array(rows).fill(values)
}

function checkInput(plan: ReadPlan, name: string): void {
  if (plan.request.some((input) => input.name === name) || plan.features.some((one) => one.name === name)) return
  const known = plan.request.map((input) => input.name)
  throw FeatureErrors.INPUT_UNKNOWN({ input: name, suggestion: didYouMean(name, known), known })
}

/** Written by hand: features of one view share their lists, which are then written once. */
function answerOf({ plan, rows, atMs, values, sources, gaps, agesMs, isDegraded }: ServedFeatures): string {
  const texts = new Map<readonly unknown[], string>()
  const once = (list: readonly unknown[], write: (list: readonly unknown[]) => string): string => {
    let text = texts.get(list)
    if (text === undefined) {
      text = write(list)
      texts.set(list, text)
    }
    return text
  }
  let text = `{"atMs":${atMs},"rows":${rows},"isDegraded":${isDegraded},"features":[`
  for (let c = 0; c < plan.features.length; c++) {
    const { name, type } = plan.features[c]!
    if (c > 0) text += ','
    text += `{"name":${JSON.stringify(name)},"type":"${type}","values":${valuesText(values[c]!)}`
    text += `,"statuses":${once(gaps[c]!, statusesText)},"sources":${once(sources[c]!, JSON.stringify)}`
    text += `,"agesMs":${once(agesMs[c]!, JSON.stringify)}}`
  }
  return `${text}]}`
}

function statusesText(gaps: readonly unknown[]): string {
  return JSON.stringify(gaps.map((gap) => (gap === 'none' ? 'present' : gap)))
}

function valuesText(values: readonly Value[]): string {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (
      typeof value === 'bigint' ||
      (typeof value === 'object' && value !== null) ||
      value === Infinity ||
      value === -Infinity
    )
      return JSON.stringify(values.map(plainValue))
  }
  return JSON.stringify(values)
}

const Rows = Type.Unsafe<unknown>({
  anyOf: [
    { type: 'array', items: { type: 'object' } },
    { type: 'object', additionalProperties: true },
  ],
  description: 'Entity keys: a list of objects, or columns',
  examples: [[{ user_id: 'u1' }, { user_id: 'u2' }]],
})

const COMMON = {
  entities: Type.Optional(Rows),
  request: Type.Optional(
    mapOf(Type.Unknown(), 'Inputs of on-demand views, and values that replace the stored ones: one each, or a list'),
  ),
  budgetMs: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 60_000, description: `How long the store may take; default ${BUDGET_MS}` }),
  ),
}

const Online = Type.Object({
  atMs: Type.Number({ description: 'The moment that windows end at and ages are counted to' }),
  rows: Type.Integer(),
  isDegraded: Type.Boolean({ description: 'Some value is a default or the last known one' }),
  features: Type.Array(
    Type.Object({
      name: Type.String(),
      type: Type.String({ examples: ['float64'] }),
      values: Type.Array(Type.Unknown(), {
        description: 'By row. Whole numbers beyond 2^53 and infinities are text, vectors are lists',
      }),
      statuses: Type.Array(Type.Enum(STATUSES), { description: 'Why a value is not what the store has' }),
      sources: Type.Array(Type.Enum(SOURCES)),
      agesMs: Type.Array(Type.Union([Type.Number(), Type.Null()]), {
        description: 'Since the event time of the row, or of the newest event in the windows',
      }),
    }),
  ),
})
