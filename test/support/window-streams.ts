// Random views, random streams of one key's events (late, repeated, out of order, at the same moment, on the edges of hops) and random
// ways of taking them in, played against brute force. A case is made from its random numbers alone, so that it can be made again.
import type { Random } from '../../src/core/index.js'
import type { KeyState, WindowEngine, WindowEvent } from '../../src/features/aggregate/types.js'
import type { CompiledWindowView, WindowFeature } from '../../src/features/compiled.js'
import type { AggregationSpec, EventRow } from '../../src/features/definitions/feature.js'
import type { Value } from '../../src/features/value.js'

export interface WindowCase {
  readonly view: CompiledWindowView
  /** In the order in which they became known; those that come too late to count are left out, as ingestion does. */
  readonly events: readonly WindowEvent[]
  readonly steps: readonly Step[]
}

/** After the first `after` events: something that changes no answer, or a read. Moments are never before what is known. */
export type Step =
  | { readonly kind: 'read'; readonly after: number; readonly atMs: number }
  | { readonly kind: 'evict'; readonly after: number; readonly atMs: number }
  | { readonly kind: 'store'; readonly after: number }
  /** Replaces the state by one of all events so far, and of a stream that began with event `from`, merged at the seam. */
  | { readonly kind: 'merge'; readonly after: number; readonly seamMs: number; readonly from: number }

const COLUMNS = ['amount', 'units', 'isPaid', 'item'] as const
const MAX_AHEAD_MS = 60_000

const pick = <T>(random: Random, items: readonly T[]): T => items[random.uint32() % items.length]!
const chance = (random: Random, share: number) => random.next() < share
/** Whole, from 0 to below `end`. */
const below = (random: Random, end: number) => Math.floor(random.next() * end)

const FILTERS: readonly ((row: EventRow) => boolean)[] = [
  (row) => row['isPaid'] === true,
  (row) => row['amount'] !== null && Number(row['amount']) > 10,
  () => false,
]

/** A view of up to eight features, without what only other parts of the product read. */
export function windowView(options: {
  readonly features: readonly {
    column?: string
    spec: AggregationSpec
    windowMs: number
    where?: WindowFeature['where']
  }[]
  readonly hopMs: number
  readonly windowing?: 'sawtooth' | 'exact'
  readonly latenessMs?: number | undefined
  readonly columns?: readonly string[]
}): CompiledWindowView {
  const features = options.features.map(
    ({ column, spec, windowMs, where }, index): WindowFeature => ({
      kind: 'aggregation',
      name: `f${index}`,
      type: 'float64',
      fallback: null,
      description: '',
      tags: [],
      column,
      spec,
      windowMs,
      where,
    }),
  )
  const { latenessMs } = options
  return {
    kind: 'windows',
    name: 'view',
    version: 1,
    table: 'view@1',
    keys: [{ name: 'key', type: 'string' }],
    source: undefined,
    stream: latenessMs === undefined ? undefined : { kind: 'push', name: 'events', columns: {}, lateness: latenessMs },
    columns: options.columns ?? COLUMNS,
    fingerprint: 'c0ffee00',
    everyMs: undefined,
    online: true,
    expectations: [],
    definition: { kind: 'view', name: 'view', entities: [], features: {} },
    features,
    windowing: options.windowing ?? 'sawtooth',
    hopMs: options.hopMs,
    maxWindowMs: Math.max(...features.map(({ windowMs }) => windowMs)),
  }
}

export function randomCase(random: Random): WindowCase {
  const view = randomView(random)
  const idsRepeatAnywhere = chance(random, 0.5)
  const events = randomEvents(random, view, idsRepeatAnywhere)
  return { view, events, steps: randomSteps(random, view, events, idsRepeatAnywhere) }
}

function randomView(random: Random): CompiledWindowView {
  const hopMs = pick(random, [1, 1000, 5000, 60_000, 3_600_000])
  const hops = chance(random, 0.2) ? 800 : 40
  const windows = Array.from({ length: 1 + below(random, 3) }, () =>
    chance(random, 0.5) ? hopMs * (1 + below(random, hops)) : 1 + below(random, hopMs * hops),
  )
  return windowView({
    hopMs,
    windowing: pick(random, ['sawtooth', 'exact'] as const),
    latenessMs: chance(random, 0.6) ? 1 + below(random, hopMs * 20) : undefined,
    features: Array.from({ length: 1 + below(random, 8) }, () => {
      const [column, spec] = randomSpec(random, hopMs)
      const where = chance(random, 0.3) ? pick(random, FILTERS) : undefined
      return { ...(column !== undefined && { column }), spec, windowMs: pick(random, windows), where }
    }),
  })
}

function randomSpec(random: Random, hopMs: number): [string | undefined, AggregationSpec] {
  const op = pick(random, [
    ...(['count', 'sum', 'mean', 'min', 'max', 'variance', 'first', 'last', 'distinct', 'lastK', 'topK'] as const),
    ...(['approxDistinct', 'quantile', 'histogram', 'decayedSum', 'decayedCount', 'currentItems'] as const),
  ])
  const numeric = pick(random, ['amount', 'units', 'isPaid'] as const)
  const any = pick(random, COLUMNS)
  switch (op) {
    case 'count':
      return [undefined, { op }]
    case 'sum':
    case 'mean':
    case 'min':
    case 'max':
    case 'variance':
      return [numeric, { op }]
    case 'first':
    case 'last':
    case 'distinct':
      return [any, { op }]
    case 'lastK':
      return [any, { op, k: 1 + below(random, 6) }]
    case 'topK':
      return [pick(random, ['units', 'item']), { op, k: 1 + below(random, 4) }]
    case 'approxDistinct':
      return [any, { op, precision: pick(random, [4, 6, 12]) }]
    case 'quantile':
      return [numeric, { op, q: pick(random, [0, 0.5, 0.9, 1]), accuracy: pick(random, [0.01, 0.05]) }]
    case 'histogram':
      return [numeric, { op, edges: pick(random, [[0], [-10, 0, 10, 100], [0.5, 1]]) }]
    case 'decayedSum':
    case 'decayedCount': {
      const halfLifeMs = 1 + below(random, hopMs * pick(random, [0.5, 20, 2000]))
      return [op === 'decayedSum' ? numeric : undefined, { op, halfLifeMs }]
    }
    case 'currentItems':
      return ['item', { op, quantity: pick(random, ['units', 'amount']), k: 1 + below(random, 4) }]
  }
}

function randomValues(random: Random): Value[] {
  const amount = pick(random, [
    () => Math.round(random.next() * 10_000) / 100,
    () => Math.round(random.next() * 10_000) / 100,
    () => (random.next() - 0.5) * 2 ** below(random, 60),
    () => pick(random, [1e16, -1e16, 1, 0.1, -0, 1e-300, -1e308, 1e308, 5e-324]),
    () => (chance(random, 0.1) ? pick(random, [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) : null),
  ])()
  const units = pick(random, [
    () => below(random, 4) - 1,
    () => below(random, 4) - 1,
    () => pick(random, [2n ** 53n + 1n, -(2n ** 62n), 7n, null]),
  ])()
  return [amount, units, pick(random, [true, false, null]), pick(random, ['a', 'b', 'ä', '😀', '', null])]
}

function randomEvents(random: Random, view: CompiledWindowView, idsRepeatAnywhere: boolean): WindowEvent[] {
  const { hopMs, maxWindowMs } = view
  const latenessMs = view.stream?.lateness as number | undefined
  const size = chance(random, 0.1) ? below(random, 200) : below(random, 30)
  const spanMs = Math.ceil(maxWindowMs * pick(random, [0.2, 1, 3])) + hopMs
  const baseMs = pick(random, [1_700_000_000_000, 0, -5 * hopMs])
  const moment = () => {
    const atMs = baseMs + below(random, spanMs)
    return chance(random, 0.3) ? Math.floor(atMs / hopMs) * hopMs : atMs
  }
  const delay = () => {
    if (chance(random, 0.6)) return 0
    return chance(random, 0.15) ? -below(random, MAX_AHEAD_MS) : below(random, (latenessMs ?? spanMs / 2) * 1.1)
  }
  const events: WindowEvent[] = []
  for (let i = 0; i < size; i++) {
    const eventMs = events.length > 0 && chance(random, 0.15) ? pick(random, events).eventMs : moment()
    const id = chance(random, 0.6) ? `e${i}` : undefined
    events.push({ eventMs, knownMs: eventMs + delay(), id, values: randomValues(random) })
    if (id === undefined || !chance(random, 0.25)) continue
    // The same event once more, or one that only bears the same id.
    const again = events.at(-1)!
    const againMs = idsRepeatAnywhere && chance(random, 0.5) ? moment() : again.eventMs
    const values = chance(random, 0.5) ? again.values : randomValues(random)
    events.push({ eventMs: againMs, knownMs: againMs + delay(), id, values })
  }
  return events
    .filter(({ eventMs, knownMs }) => latenessMs === undefined || knownMs - eventMs <= latenessMs)
    .sort((a, b) => a.knownMs - b.knownMs)
}

function randomSteps(
  random: Random,
  view: CompiledWindowView,
  events: readonly WindowEvent[],
  idsRepeatAnywhere: boolean,
): Step[] {
  const steps: Step[] = []
  let evictedMs = Number.NEGATIVE_INFINITY
  for (let after = 0; after <= events.length; after++) {
    const knownMs = events[after - 1]?.knownMs ?? (events[0]?.knownMs ?? 0) - view.hopMs
    const nextMs = events[after]?.knownMs ?? knownMs + 2 * view.maxWindowMs
    if (nextMs <= knownMs || (after < events.length && !chance(random, 6 / (events.length + 1)))) continue
    if (chance(random, 0.2)) steps.push({ kind: 'store', after })
    if (chance(random, 0.4)) {
      evictedMs = Math.max(evictedMs, knownMs - (chance(random, 0.5) ? 0 : below(random, view.maxWindowMs)))
      steps.push({ kind: 'evict', after, atMs: evictedMs })
    }
    if (chance(random, 0.15)) {
      const seamMs = Math.floor((knownMs - below(random, view.maxWindowMs)) / view.hopMs) * view.hopMs
      // The stream has every event from the seam on; where an id may come back at another time, it has to know all of them.
      const began = events.findIndex((event) => event.knownMs >= seamMs - MAX_AHEAD_MS)
      steps.push({ kind: 'merge', after, seamMs, from: idsRepeatAnywhere || began < 0 ? 0 : began })
    }
    for (let reads = 1 + below(random, 2); reads > 0; reads--) {
      steps.push({ kind: 'read', after, atMs: knownMs + (chance(random, 0.3) ? 0 : below(random, nextMs - knownMs)) })
    }
  }
  return steps
}

export interface Played {
  readonly reads: number
  readonly values: number
  /** What differed, with what is needed to see why. */
  readonly problem: string | undefined
}

/** Plays a case: every value read must be the one that `expected` computes of the events known by then. */
export function play(
  { view, events, steps }: WindowCase,
  engine: WindowEngine,
  expected: (view: CompiledWindowView, events: readonly WindowEvent[], atMs: number) => Value[] | undefined,
): Played {
  let state = engine.create()
  let added = 0
  let reads = 0
  let values = 0
  let evictedMs = Number.NEGATIVE_INFINITY
  for (const step of steps) {
    while (added < step.after) state.add(events[added++]!)
    switch (step.kind) {
      case 'evict':
        evictedMs = step.atMs
        state.evict(step.atMs)
        break
      case 'store':
        state = engine.parse(state.serialize())
        break
      case 'merge':
        state = merged(engine, events.slice(0, added), step, evictedMs)
        break
      case 'read': {
        const into: Value[] = []
        const isKnown = state.read(step.atMs, into, 0)
        const right = expected(view, events.slice(0, added), step.atMs)
        reads++
        values += into.length
        if (isKnown !== (right !== undefined)) {
          return { reads, values, problem: `at ${step.atMs} the key is ${isKnown ? '' : 'not '}known` }
        }
        const at = right?.findIndex((value, index) => !isSame(value, into[index]!)) ?? -1
        if (at >= 0) {
          const { column, spec, windowMs } = view.features[at]!
          const problem = `at ${step.atMs} ${JSON.stringify(spec)} of ${column} over ${windowMs} is ${text(into[at]!)}, not ${text(right![at]!)}`
          return { reads, values, problem }
        }
        break
      }
    }
  }
  return { reads, values, problem: undefined }
}

function merged(
  engine: WindowEngine,
  events: readonly WindowEvent[],
  { seamMs, from }: Extract<Step, { kind: 'merge' }>,
  evictedMs: number,
): KeyState {
  const batch = engine.create()
  for (const event of events) batch.add(event)
  const stream = engine.create()
  events.slice(from).forEach((event, index) => {
    stream.add(event)
    if (index % 7 === 3) stream.evict(Math.min(evictedMs, event.knownMs))
  })
  batch.evict(evictedMs)
  return engine.merge(engine.parse(batch.serialize()), stream, seamMs)
}

function isSame(a: Value, b: Value): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => Object.is(item, b[i]))
  return Object.is(a, b)
}

const text = (value: Value) =>
  JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item)) ?? String(value)

/** The same failure with as few events, steps and features as leaving one out at a time leads to. */
export function shrunk(failing: WindowCase, fails: (one: WindowCase) => boolean): WindowCase {
  let smallest = failing
  for (let isSmaller = true; isSmaller; ) {
    isSmaller = false
    for (const next of smaller(smallest)) {
      if (!fails(next)) continue
      smallest = next
      isSmaller = true
      break
    }
  }
  return smallest
}

function* smaller({ view, events, steps }: WindowCase): Generator<WindowCase> {
  const without = <T>(items: readonly T[], index: number) => items.filter((_, i) => i !== index)
  for (let i = 0; i < steps.length; i++) yield { view, events, steps: without(steps, i) }
  for (let i = 0; i < events.length; i++) {
    const fewer = steps.map((step) => {
      const after = step.after > i ? step.after - 1 : step.after
      return step.kind === 'merge'
        ? { ...step, after, from: step.from > i ? step.from - 1 : step.from }
        : { ...step, after }
    })
    yield { view, events: without(events, i), steps: fewer }
  }
  for (let i = 0; i < view.features.length && view.features.length > 1; i++) {
    const features = without(view.features, i)
    const maxWindowMs = Math.max(...features.map(({ windowMs }) => windowMs))
    yield { view: { ...view, features, maxWindowMs }, events, steps }
  }
}
