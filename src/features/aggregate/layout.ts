// What a view's windows need: each filter once, one reducer for all features that can share its parts, windows from the shortest on.

import { murmur3, topCounts } from '../../stats/index.js'
import type { CompiledWindowView, WindowFeature } from '../compiled.js'
import type { EventRow } from '../definitions/feature.js'
import { durationMs } from '../duration.js'
import type { Value } from '../value.js'
import { countReducer } from './parts/count.js'
import { type CountsPart, countsReducer } from './parts/counts.js'
import { type CurrentItemsPart, currentItemsReducer } from './parts/current-items.js'
import { type DecayedPart, decayedReducer } from './parts/decayed.js'
import { type ExtremesPart, extremesReducer } from './parts/extremes.js'
import { type HistogramPart, histogramReducer } from './parts/histogram.js'
import { type NumbersPart, numbersReducer } from './parts/numbers.js'
import { type OrderedPart, orderedReducer } from './parts/ordered.js'
import type { CountedEvent, Part, Reducer } from './parts/part.js'
import {
  type DistinctSketchPart,
  distinctSketchReducer,
  type QuantilesPart,
  quantilesReducer,
} from './parts/sketches.js'
import type { WindowEvent } from './types.js'

/** What a tile keeps a part of. */
export interface Aggregate {
  readonly reducer: Reducer
  /** Index of the view's filters; -1 takes every event. */
  readonly filter: number
  /** The longest window that reads it, as an index of `windowsMs`. */
  readonly lastWindow: number
}

export interface WindowReading {
  /** Index of the view's features. */
  readonly feature: number
  readonly aggregate: number
  read(part: Part, atMs: number): Value
}

export interface Layout {
  readonly table: string
  readonly isExact: boolean
  readonly hopMs: number
  /** Ascending; the last is the view's longest. */
  readonly windowsMs: readonly number[]
  readonly aggregates: readonly Aggregate[]
  /** By window. */
  readonly readings: readonly (readonly WindowReading[])[]
  readonly columns: readonly string[]
  /** Indices of the columns that are aggregated: all that is kept of an event. Aggregates count in these. */
  readonly kept: readonly number[]
  /** Some aggregate puts events in order, for which it needs their ids. */
  readonly needsIds: boolean
  readonly filters: readonly ((row: EventRow) => boolean)[]
  /** How long an id is remembered after its event: one that comes back later does not count for being late. */
  readonly idsKeptMs: number
  /** Of the view's meaning and of what is stored in which order: states of another one are not read. */
  readonly fingerprint: Uint8Array
}

const ORDERED = new Set(['first', 'last', 'lastK', 'currentItems'])

export function layoutOf(view: CompiledWindowView): Layout {
  // In the order of the features' names: states are stored in it, and a definition may be written in another order.
  const features = [...view.features].sort((a, b) => (a.name < b.name ? -1 : 1))
  const filters = [...new Set(features.flatMap(({ where }) => where ?? []))]
  const kept = [...new Set(features.flatMap(columnsOf))].sort()
  const windowsMs = [...new Set([...features.map(({ windowMs }) => windowMs), view.maxWindowMs])].sort((a, b) => a - b)
  const plans = features.map((feature) => planOf(view, kept, filters, feature))
  const keys = [...new Set(plans.map(({ key }) => key))]
  const aggregates = keys.map((key): Aggregate => {
    const sharers = features.filter((_, index) => plans[index]!.key === key)
    const { where } = sharers[0]!
    return {
      reducer: plans.find((plan) => plan.key === key)!.reducer,
      filter: where === undefined ? -1 : filters.indexOf(where),
      lastWindow: Math.max(...sharers.map(({ windowMs }) => windowsMs.indexOf(windowMs))),
    }
  })
  return {
    table: view.table,
    isExact: view.windowing === 'exact',
    hopMs: view.hopMs,
    windowsMs,
    aggregates,
    readings: windowsMs.map((windowMs) =>
      plans.flatMap(({ key, read }, index) =>
        features[index]!.windowMs === windowMs
          ? [{ feature: view.features.indexOf(features[index]!), aggregate: keys.indexOf(key), read }]
          : [],
      ),
    ),
    columns: view.columns,
    kept: kept.map((name) => view.columns.indexOf(name)),
    needsIds: features.some(({ spec }) => ORDERED.has(spec.op)),
    filters,
    idsKeptMs:
      view.stream === undefined ? view.maxWindowMs + view.hopMs : durationMs(view.stream.lateness ?? '1h', 'lateness'),
    fingerprint: digest([view.fingerprint, view.windowing, view.hopMs, filters.length, ...kept, ...keys].join('\n')),
  }
}

/** 4 bytes. */
function digest(text: string): Uint8Array {
  const bytes = Buffer.from(text)
  const hash = { high: 0, low: 0 }
  murmur3(bytes, bytes.length, hash)
  const digest = Buffer.alloc(4)
  digest.writeUInt32BE(hash.high)
  return digest
}

function columnsOf({ column, spec }: WindowFeature): string[] {
  return [...(column === undefined ? [] : [column]), ...(spec.op === 'currentItems' ? [spec.quantity] : [])]
}

interface Plan {
  /** Features of one key share their parts. */
  readonly key: string
  readonly reducer: Reducer
  readonly read: WindowReading['read']
}

function planOf(
  view: CompiledWindowView,
  kept: readonly string[],
  filters: Layout['filters'],
  { column, spec, where }: WindowFeature,
): Plan {
  const at = column === undefined ? -1 : kept.indexOf(column)
  const filter = where === undefined ? -1 : filters.indexOf(where)
  /** `read` gets parts of that reducer only. */
  const plan = <P extends Part>(name: string, reducer: Reducer<P>, read: (part: P, atMs: number) => Value): Plan => ({
    key: `${name}:${at}:${filter}`,
    reducer,
    read: read as WindowReading['read'],
  })
  /** All that sum up one column under one filter share squares if any needs them. */
  const numbers = (read: (part: NumbersPart) => Value) => {
    const withSquares = view.features.some(
      (other) => other.spec.op === 'variance' && other.column === column && other.where === where,
    )
    return plan('numbers', numbersReducer(at, withSquares), read)
  }
  switch (spec.op) {
    case 'count':
      return plan('count', countReducer, ({ n }) => n)
    case 'sum':
      return numbers((part) => part.readSum())
    case 'mean':
      return numbers((part) => part.readMean())
    case 'variance':
      return numbers((part) => part.readVariance())
    case 'min':
      return plan<ExtremesPart>('extremes', extremesReducer(at), ({ min }) => min)
    case 'max':
      return plan<ExtremesPart>('extremes', extremesReducer(at), ({ max }) => max)
    case 'first':
      return plan<OrderedPart>('first', orderedReducer(at, 1, 1), (part) => part.first())
    case 'last':
      return plan<OrderedPart>('last-1', orderedReducer(at, 1, -1), (part) => part.first())
    case 'lastK':
      return plan<OrderedPart>(`last-${spec.k}`, orderedReducer(at, spec.k, -1), (part) => part.values())
    case 'distinct':
      return plan<CountsPart>('counts', countsReducer(at), ({ counts }) => counts.size)
    case 'topK':
      return plan<CountsPart>('counts', countsReducer(at), ({ counts }) => topCounts(counts, spec.k))
    case 'approxDistinct': {
      const reducer = distinctSketchReducer(at, spec.precision)
      return plan<DistinctSketchPart>(`sketch-${spec.precision}`, reducer, ({ sketch }) => sketch.estimate())
    }
    case 'quantile': {
      const reducer = quantilesReducer(at, spec.accuracy)
      return plan<QuantilesPart>(`quantiles-${spec.accuracy}`, reducer, ({ sketch }) => sketch.quantile(spec.q) ?? null)
    }
    case 'histogram':
      return plan<HistogramPart>(`histogram-${spec.edges.join()}`, histogramReducer(at, spec.edges), ({ counts }) => [
        ...counts,
      ])
    case 'decayedSum':
    case 'decayedCount': {
      const isCount = spec.op === 'decayedCount'
      const reducer = decayedReducer(isCount ? -1 : at, spec.halfLifeMs, view.hopMs)
      return plan<DecayedPart>(`${spec.op}-${spec.halfLifeMs}`, reducer, (part, atMs) =>
        isCount && part.n === 0 ? 0 : part.readAt(atMs),
      )
    }
    case 'currentItems': {
      const quantity = kept.indexOf(spec.quantity)
      return plan<CurrentItemsPart>(`items-${quantity}`, currentItemsReducer(at, quantity), (part) =>
        part.present(spec.k),
      )
    }
  }
}

/** What is kept of an event. Runs the filters: once per event. */
export function countedEvent(layout: Layout, { eventMs, id, values }: WindowEvent): CountedEvent {
  const { kept, filters, columns } = layout
  const own = new Array<Value>(kept.length)
  for (let i = 0; i < kept.length; i++) own[i] = values[kept[i]!] ?? null
  let passed: boolean[] | undefined
  if (filters.length > 0) {
    const row: Record<string, Value> = {}
    for (let i = 0; i < columns.length; i++) row[columns[i]!] = values[i] ?? null
    passed = new Array<boolean>(filters.length)
    for (let i = 0; i < filters.length; i++) passed[i] = takes(filters[i]!, row)
  }
  return { eventMs, id: layout.needsIds ? id : undefined, values: own, passed }
}

/** A filter that throws, as on a null that it did not expect, does not take the event: it must not stop the stream, nor differ from a batch. */
function takes(filter: (row: EventRow) => boolean, row: EventRow): boolean {
  try {
    return Boolean(filter(row))
  } catch {
    return false
  }
}

/** Adds an event to the parts of those aggregates that the window or a longer one reads, and whose filter takes the event. */
export function addTo(layout: Layout, parts: (Part | undefined)[], event: CountedEvent, window = 0): void {
  const { aggregates } = layout
  for (let i = 0; i < aggregates.length; i++) {
    const { filter, reducer, lastWindow } = aggregates[i]!
    if (lastWindow < window || (filter >= 0 && !event.passed![filter])) continue
    let part = parts[i]
    if (part === undefined) {
      part = reducer.create()
      parts[i] = part
    }
    part.add(event)
  }
}

/** Merges parts, of aggregates that the window or a longer one reads. */
export function mergeInto(
  layout: Layout,
  into: (Part | undefined)[],
  parts: readonly (Part | undefined)[],
  window: number,
): void {
  const { aggregates } = layout
  for (let i = 0; i < aggregates.length; i++) {
    const part = parts[i]
    if (part === undefined || aggregates[i]!.lastWindow < window) continue
    let merged = into[i]
    if (merged === undefined) {
      merged = aggregates[i]!.reducer.create()
      into[i] = merged
    }
    merged.merge(part)
  }
}
