// One view: keys, times, columns, features, tiles.
import type { ColumnFeature, CompiledKey, CompiledView, WindowFeature } from '../compiled.js'
import type { Entity } from '../definitions/entity.js'
import type { Expectation } from '../definitions/expectation.js'
import type { Feature } from '../definitions/feature.js'
import type { BatchSource, Source, StreamSource } from '../definitions/source.js'
import type { FeatureView } from '../definitions/view.js'
import type { Duration } from '../duration.js'
import { checkRules } from '../quality/row-rules.js'
import type { KeyType } from '../value.js'
import { compileAggregation, compileColumn, type KnownColumns } from './features.js'
import { fingerprint } from './fingerprint.js'
import { DAY_MS, defaultHopMs } from './hop.js'
import { type Problems, show } from './problems.js'
import { columnType, isStream } from './sources.js'

/** Names that an on-demand function's input has beside the views. */
const RESERVED: readonly string[] = ['request', 'atMs']

/** undefined: it has mistakes, which are told. */
export function compileView(view: FeatureView, problems: Problems): CompiledView | undefined {
  const path = `view ${view.name}`
  const at = (part: string) => `${path} › ${part}`
  if (RESERVED.includes(view.name))
    problems.add(path, 'This name has a meaning in on-demand views.', 'Take another one.')
  const version = view.version ?? 1
  if (!Number.isSafeInteger(version) || version < 1) {
    problems.add(at('version'), `${show(view.version)} is no version.`, 'Versions are 1, 2, 3, …')
  }
  const { source, stream } = view
  const sources: Source[] = [...(source ? [source] : []), ...(stream ? [stream] : [])]
  if (sources.length === 0) problems.add(path, 'It has neither source nor stream.', 'Say where its rows come from.')
  if (source && isStream(source)) problems.add(at('source'), 'This is a stream.', 'Give it as "stream".')
  if (stream && !isStream(stream)) problems.add(at('stream'), 'This is no stream.', 'Give it as "source".')
  const known = sources.map((one) => ({ of: `source "${one.name}"`, columns: one.columns }))
  const keys = keysOf(path, view.entities, known, problems)

  const features = Object.entries(view.features ?? {}) as [string, Feature][]
  if (features.length === 0) problems.add(at('features'), 'It has none.', 'Give at least one.')
  problems.clashes(
    at('features'),
    [...keys.map(({ name }) => name), ...features.map(([name]) => name)],
    (name) => `"${name}" is there twice (keys count, capital letters do not).`,
    'Rename one.',
  )
  const columns: ColumnFeature[] = []
  const windows: WindowFeature[] = []
  for (const [name, feature] of features) {
    const where = at(`features.${name}`)
    if (!problems.name(where, name)) continue
    if (feature?.kind === 'column') {
      const compiled = compileColumn(where, name, feature, known, problems)
      if (compiled) columns.push(compiled)
    } else if (feature?.kind === 'aggregation') {
      const compiled = compileAggregation(where, name, feature, known, problems)
      if (compiled) windows.push(compiled)
    } else problems.add(where, `${show(feature)} is no feature.`, 'Make it with column, count, sum, …')
  }
  const ofWindows = features.some(([, feature]) => feature?.kind === 'aggregation')
  if (ofWindows && features.some(([, feature]) => feature?.kind === 'column')) {
    problems.add(
      at('features'),
      'It has columns and aggregations.',
      'Make two views: one of the newest row, one of windows.',
    )
  }
  checkRenames(at('renames'), view, problems)
  const everyMs = problems.duration(at('every'), view.every)
  const ttlMs = problems.duration(at('ttl'), view.ttl)
  const hopMs = ofWindows ? hopOf(path, view, windows, problems) : undefined
  if (ofWindows && view.ttl !== undefined)
    problems.add(at('ttl'), 'Aggregations have their windows instead.', 'Leave it out.')
  if (!ofWindows && (view.hop !== undefined || view.windowing !== undefined)) {
    problems.add(path, 'hop and windowing are for aggregations.', 'Leave them out.')
  }
  checkExpectations(at('expectations'), view, keys, known, problems)

  const base = {
    name: view.name,
    version,
    table: `${view.name}@${version}`,
    keys,
    source: source as BatchSource | undefined,
    stream: stream as StreamSource | undefined,
    everyMs,
    online: view.online ?? true,
    expectations: view.expectations ?? [],
    definition: view,
  }
  const meaning = { keys, source: meaningOf(source), stream: meaningOf(stream) }
  if (!ofWindows) {
    const read = [...new Set(columns.map(({ column }) => column))]
    const of = columns.map(({ name, type, column }) => ({ name, type, column }))
    return {
      ...base,
      kind: 'rows',
      features: columns,
      ttlMs,
      columns: read,
      fingerprint: fingerprint({ ...meaning, ttlMs, of }),
    }
  }
  if (hopMs === undefined) return undefined
  const read = columnsOf(windows, known)
  const windowing = view.windowing ?? 'sawtooth'
  if (windowing !== 'sawtooth' && windowing !== 'exact') {
    problems.add(at('windowing'), `${show(windowing)} is none.`, 'It is "sawtooth" or "exact".')
  }
  const of = windows.map(({ name, type, column, spec, windowMs, where }) => ({
    name,
    type,
    column,
    spec,
    windowMs,
    where,
  }))
  return {
    ...base,
    kind: 'windows',
    features: windows,
    windowing,
    hopMs,
    maxWindowMs: Math.max(...windows.map(({ windowMs }) => windowMs)),
    columns: read,
    // With filters, all columns are read and kept events are of those: so they belong to it.
    fingerprint: fingerprint({ ...meaning, windowing, hopMs, of, read }),
  }
}

function keysOf(
  path: string,
  entities: readonly Entity[],
  known: readonly KnownColumns[],
  problems: Problems,
): CompiledKey[] {
  const keys = new Map<string, KeyType>()
  for (const entity of Array.isArray(entities) ? entities : []) {
    for (const [name, type] of Object.entries((entity as Entity | undefined)?.keys ?? {})) {
      if ((keys.get(name) ?? type) !== type) {
        problems.add(`${path} › entities`, `Key "${name}" has two types.`, 'Give it one in all entities.')
      }
      keys.set(name, type)
      for (const { of, columns } of known) {
        if (columns === undefined) continue
        const there = columnType(columns, name)
        if (there === undefined)
          problems.unknown(`${path} › entities`, `${of} has no column`, name, Object.keys(columns))
        else if (there !== type && !(type === 'int64' && there === 'int32')) {
          problems.add(
            `${path} › entities`,
            `Key "${name}" is ${type}, but the column of ${of} is ${there}.`,
            'Make them one type.',
          )
        }
      }
    }
  }
  if (keys.size === 0) problems.add(`${path} › entities`, 'It has no entity.', 'Say what its features are about.')
  return [...keys].map(([name, type]) => ({ name, type }))
}

function hopOf(
  path: string,
  view: FeatureView,
  windows: readonly WindowFeature[],
  problems: Problems,
): number | undefined {
  if (windows.length === 0) return undefined
  const lengths = windows.map(({ windowMs }) => windowMs)
  const shortest = Math.min(...lengths)
  if (view.hop === undefined) return defaultHopMs(Math.max(...lengths), shortest)
  const hopMs = problems.duration(`${path} › hop`, view.hop)
  if (hopMs === undefined) return undefined
  if (DAY_MS % hopMs !== 0)
    problems.add(`${path} › hop`, `A day is no multiple of ${view.hop}.`, 'Take one that divides a day, such as 5m.')
  if (hopMs > shortest)
    problems.add(`${path} › hop`, 'It is longer than the shortest window.', 'Take one that is shorter.')
  return hopMs
}

/** Columns that windows read: those that are aggregated, and all that are declared where a filter may look at any. */
function columnsOf(windows: readonly WindowFeature[], known: readonly KnownColumns[]): readonly string[] {
  const columns = new Set<string>()
  for (const { column, spec } of windows) {
    if (column !== undefined) columns.add(column)
    if (spec.op === 'currentItems') columns.add(spec.quantity)
  }
  if (windows.some(({ where }) => where !== undefined)) {
    const [first, second] = known
    for (const name of Object.keys(first?.columns ?? {})) {
      if (second === undefined || columnType(second.columns, name) !== undefined) columns.add(name)
    }
  }
  return [...columns]
}

/** Of a source, what makes its rows what they are; descriptions and unread columns are not among it. */
function meaningOf(source: Source | undefined): unknown {
  if (source === undefined) return undefined
  const {
    description: _1,
    owner: _2,
    tags: _3,
    columns: _4,
    expectations: _5,
    renames: _6,
    ...meaning
  } = source as Source & { readonly renames?: unknown }
  return meaning
}

function checkRenames(path: string, view: FeatureView, problems: Problems): void {
  for (const [now, before] of Object.entries(view.renames ?? {})) {
    if (!Object.hasOwn(view.features ?? {}, now))
      problems.unknown(path, 'There is no feature', now, Object.keys(view.features ?? {}))
    if (Object.hasOwn(view.features ?? {}, before)) {
      problems.add(path, `"${before}" is still a feature.`, 'Write { new name: old name }.')
    }
  }
}

function checkExpectations(
  path: string,
  view: FeatureView,
  keys: readonly CompiledKey[],
  known: readonly KnownColumns[],
  problems: Problems,
): void {
  const declared = known.every(({ columns }) => columns !== undefined)
  const times = [view.source?.eventTime, view.source?.knownTime, view.stream?.eventTime]
  const names = new Set([
    ...Object.keys(view.features ?? {}),
    ...keys.map(({ name }) => name),
    ...known.flatMap(({ columns }) => Object.keys(columns ?? {})),
    ...times.filter((time) => time !== undefined),
  ])
  ;(view.expectations ?? []).forEach((expectation, i) => {
    const where = `${path}[${i}]`
    for (const column of columnsExpected(expectation)) {
      if (declared && !names.has(column)) problems.unknown(where, 'There is no column or feature', column, [...names])
    }
    checkExpectation(where, expectation, problems)
  })
}

function columnsExpected(expectation: Expectation): readonly string[] {
  if ('columns' in expectation) return expectation.columns
  return 'column' in expectation ? [expectation.column] : []
}

const EXPECTATIONS: readonly string[] = [
  'type',
  'notNull',
  'range',
  'oneOf',
  'regex',
  'nullShare',
  'unique',
  'monotonic',
  'freshness',
  'rowCount',
  'distribution',
] satisfies Expectation['expect'][]

function checkExpectation(path: string, expectation: Expectation, problems: Problems): void {
  if (!EXPECTATIONS.includes(expectation?.expect)) {
    problems.add(path, `${show(expectation?.expect)} is no expectation.`, `There are ${EXPECTATIONS.join(', ')}.`)
    return
  }
  if (expectation.expect === 'freshness') problems.duration(`${path}.max`, expectation.max as Duration)
  problems.attempt(path, () => checkRules({ name: path, expectations: [expectation] }))
}
