// The features of one view: columns with their types, aggregations with their windows and parameters.
import type { ColumnFeature, CompiledFeature, WindowFeature } from '../compiled.js'
import type { Aggregation, Column } from '../definitions/feature.js'
import type { Columns } from '../definitions/source.js'
import type { ValueType } from '../value.js'
import type { Problems } from './problems.js'
import { columnType } from './sources.js'

const NUMBERS: readonly ValueType[] = ['float64', 'float32', 'int64', 'int32']
const SCALARS: readonly ValueType[] = [...NUMBERS, 'bool', 'string', 'timestamp']
const MAX_K = 10_000
const MAX_EDGES = 1000

/** Declared columns of a view's source or stream, to check features against; undefined: read from the source, so not known yet. */
export interface KnownColumns {
  readonly of: string
  readonly columns: Columns | undefined
}

export function compileColumn(
  path: string,
  name: string,
  feature: Column,
  known: readonly KnownColumns[],
  problems: Problems,
): ColumnFeature | undefined {
  if (!problems.type(path, feature.type)) return undefined
  const column = feature.from ?? name
  requireColumn(path, column, [feature.type], known, problems)
  return { kind: 'column', column, ...compiledFeature(path, name, feature, problems) }
}

export function compileAggregation(
  path: string,
  name: string,
  feature: Aggregation,
  known: readonly KnownColumns[],
  problems: Problems,
): WindowFeature | undefined {
  if (!problems.type(path, feature.type)) return undefined
  const { column, spec, where } = feature
  if (feature.over === undefined) {
    problems.add(`${path}.over`, 'It has no window.', 'Give its length: over: "30d".')
    return undefined
  }
  const windowMs = problems.duration(`${path}.over`, feature.over)
  if (where !== undefined && typeof where !== 'function') {
    problems.add(`${path}.where`, 'It is no function.', 'Write one of a row: (row) => row["paid"] === true.')
  }
  if (where !== undefined && known.some(({ columns }) => columns === undefined)) {
    const { of } = known.find(({ columns }) => columns === undefined)!
    problems.add(`${path}.where`, `Filters need to know the columns of ${of}.`, 'Declare them there: columns: { … }.')
  }
  checkSpec(path, feature, problems)
  if (column !== undefined) requireColumn(path, column, columnTypes(feature), known, problems)
  if (spec.op === 'currentItems') requireColumn(`${path}.quantity`, spec.quantity, NUMBERS, known, problems)
  if (windowMs === undefined) return undefined
  return { kind: 'aggregation', column, spec, windowMs, where, ...compiledFeature(path, name, feature, problems) }
}

export function compiledFeature(
  path: string,
  name: string,
  feature: {
    readonly type: ValueType
    readonly default?: unknown
    readonly description?: string
    readonly tags?: readonly string[]
  },
  problems: Problems,
): CompiledFeature {
  return {
    name,
    type: feature.type,
    fallback: problems.fallback(path, feature.type, feature.default),
    description: feature.description ?? '',
    tags: feature.tags ?? [],
  }
}

/** What a feature's column may be. */
function columnTypes({ spec, type }: Aggregation): readonly ValueType[] {
  switch (spec.op) {
    case 'distinct':
    case 'approxDistinct':
      return SCALARS
    case 'first':
    case 'last':
      return [type]
    case 'lastK':
    case 'topK':
    case 'currentItems':
      return [type.slice(0, -2) as ValueType]
    case 'min':
    case 'max':
      return [...NUMBERS, 'timestamp']
    default:
      return NUMBERS
  }
}

/** A narrower number is as good as a wider one. */
const WIDER: Readonly<Partial<Record<ValueType, readonly ValueType[]>>> = {
  float64: ['float32', 'int32', 'int64'],
  int64: ['int32'],
}

function requireColumn(
  path: string,
  column: string,
  types: readonly ValueType[],
  known: readonly KnownColumns[],
  problems: Problems,
): void {
  for (const { of, columns } of known) {
    if (columns === undefined) continue
    const type = columnType(columns, column)
    if (type === undefined) problems.unknown(path, `${of} has no column`, column, Object.keys(columns))
    else if (!types.some((one) => one === type || WIDER[one]?.includes(type))) {
      problems.add(
        path,
        `Column "${column}" of ${of} is ${type}, and ${types.length === 1 ? types[0] : `one of ${types.join(', ')}`} is needed.`,
        'Name another column, or correct one of the types.',
      )
    }
  }
}

function checkSpec(path: string, { spec }: Aggregation, problems: Problems): void {
  const wrong = (problem: string, remedy: string) => problems.add(path, problem, remedy)
  switch (spec.op) {
    case 'lastK':
    case 'topK':
    case 'currentItems':
      if (!Number.isInteger(spec.k) || spec.k < 1 || spec.k > MAX_K)
        wrong(`k is ${spec.k}.`, `Give a whole number from 1 to ${MAX_K}.`)
      break
    case 'approxDistinct':
      if (!Number.isInteger(spec.precision) || spec.precision < 4 || spec.precision > 16) {
        wrong(`precision is ${spec.precision}.`, 'Give a whole number from 4 to 16.')
      }
      break
    case 'quantile':
      if (!(spec.q >= 0 && spec.q <= 1)) wrong(`q is ${spec.q}.`, 'Give a number from 0 to 1.')
      if (!(spec.accuracy >= 0.0001 && spec.accuracy <= 0.5))
        wrong(`accuracy is ${spec.accuracy}.`, 'Give a number from 0.0001 to 0.5.')
      break
    case 'histogram': {
      const { edges } = spec
      const rises = edges.every((edge, i) => Number.isFinite(edge) && (i === 0 || edge > edges[i - 1]!))
      if (edges.length === 0 || edges.length > MAX_EDGES || !rises) {
        wrong('The edges do not rise.', `Give 1 to ${MAX_EDGES} finite numbers, each above the one before.`)
      }
      break
    }
    case 'decayedSum':
    case 'decayedCount':
    case 'count':
    case 'sum':
    case 'mean':
    case 'min':
    case 'max':
    case 'variance':
    case 'first':
    case 'last':
    case 'distinct':
      break
    default:
      spec satisfies never
      wrong('It is no aggregation.', 'Make it with count, sum, mean, … of this package.')
  }
}
