// The slow, obvious meaning of a window view: every event looked at, every sum a fraction of whole numbers, rounded once. It shares no
// code with the engine; only HyperLogLog, whose answer is an estimate, is the engine's own sketch, fed in one go.

import { HyperLogLog } from '../../stats/index.js'
import type { CompiledWindowView, WindowFeature } from '../compiled.js'
import type { EventRow } from '../definitions/feature.js'
import { durationMs } from '../duration.js'
import type { Scalar, Value } from '../value.js'
import type { WindowEvent } from './types.js'

/** Values of a view's features at a moment, from all of one key's events in the order in which they became known; undefined: not known. */
export function bruteForce(
  view: CompiledWindowView,
  events: readonly WindowEvent[],
  atMs: number,
): Value[] | undefined {
  const counted = withoutDuplicates(
    view,
    events.filter(({ knownMs }) => knownMs <= atMs),
  )
  const inWindow = (windowMs: number) => {
    const exactMs = atMs - windowMs
    const startMs =
      view.windowing === 'exact' ? exactMs : exactMs - (((exactMs % view.hopMs) + view.hopMs) % view.hopMs)
    return counted.filter(({ eventMs }) => eventMs >= startMs && eventMs < atMs)
  }
  if (inWindow(view.maxWindowMs).length === 0) return undefined
  return view.features.map((feature) => {
    const row = (event: WindowEvent) => Object.fromEntries(view.columns.map((name, i) => [name, event.values[i]!]))
    const taken = inWindow(feature.windowMs).filter(
      (event) => feature.where === undefined || takes(feature.where, row(event)),
    )
    return featureValue(view, feature, taken, atMs)
  })
}

function takes(where: NonNullable<WindowFeature['where']>, row: EventRow): boolean {
  try {
    return where(row)
  } catch {
    return false
  }
}

/** Of events with one id the first known counts, for as long as ids are kept: the lateness of a stream, the longest window of a batch. */
function withoutDuplicates(view: CompiledWindowView, events: readonly WindowEvent[]): WindowEvent[] {
  const keptMs =
    view.stream === undefined ? view.maxWindowMs + view.hopMs : durationMs(view.stream.lateness ?? '1h', 'lateness')
  const counted: WindowEvent[] = []
  const times = new Map<string, number[]>()
  for (const event of events) {
    if (event.id !== undefined) {
      const seen = times.get(event.id) ?? []
      if (seen.some((eventMs) => eventMs >= event.knownMs - keptMs)) continue
      times.set(event.id, [...seen, event.eventMs])
    }
    counted.push(event)
  }
  return counted
}

interface Item {
  readonly eventMs: number
  readonly id: string | undefined
  readonly value: Scalar
  readonly quantity: number | undefined
}

function featureValue(
  view: CompiledWindowView,
  { column, spec }: WindowFeature,
  events: readonly WindowEvent[],
  atMs: number,
): Value {
  if (spec.op === 'count') return events.length
  const of = (event: WindowEvent, name: string) => scalar(event.values[view.columns.indexOf(name)]!)
  const items: Item[] = []
  for (const event of events) {
    const value = spec.op === 'decayedCount' ? 1 : of(event, column!)
    if (value === undefined) continue
    const quantity = spec.op === 'currentItems' ? number(of(event, spec.quantity)) : undefined
    if (spec.op === 'currentItems' && quantity === undefined) continue
    items.push({ eventMs: event.eventMs, id: event.id, value, quantity })
  }
  items.sort(inOrder)
  const numbers = items.map(({ value }) => number(value)).filter((value) => value !== undefined)
  const n = numbers.length
  switch (spec.op) {
    case 'sum':
      return n === 0 ? null : orNull(exactSum(numbers))
    case 'mean':
      return n === 0 ? null : orNull(exactSum(numbers) / n)
    case 'variance':
      return n === 0 || numbers.some((value) => !Number.isFinite(value)) ? null : exactVariance(numbers)
    case 'min':
      return n === 0 ? null : numbers.reduce((a, b) => Math.min(a, b))
    case 'max':
      return n === 0 ? null : numbers.reduce((a, b) => Math.max(a, b))
    case 'first':
      return items[0]?.value ?? null
    case 'last':
      return items.at(-1)?.value ?? null
    case 'lastK':
      return items
        .map(({ value }) => value)
        .reverse()
        .slice(0, spec.k)
    case 'distinct':
      return new Set(items.map(({ value }) => value)).size
    case 'approxDistinct':
      return estimate(
        spec.precision,
        items.map(({ value }) => value),
      )
    case 'topK': {
      const counts = [...new Set(items.map(({ value }) => value))].map((value) => ({
        value,
        times: items.filter((item) => item.value === value).length,
      }))
      counts.sort((a, b) => b.times - a.times || compare(a.value, b.value))
      return counts.slice(0, spec.k).map(({ value }) => value)
    }
    case 'quantile':
      return n === 0 ? null : bucketMiddle(numbers.sort((a, b) => a - b)[Math.floor(spec.q * (n - 1))]!, spec.accuracy)
    case 'histogram': {
      const { edges } = spec
      return [Number.NEGATIVE_INFINITY, ...edges].map((from, i) => {
        const to = edges[i]
        return numbers.filter((value) => value >= from && (to === undefined || value < to)).length
      })
    }
    case 'decayedSum':
    case 'decayedCount': {
      if (n === 0) return spec.op === 'decayedCount' ? 0 : null
      return orNull(decayed(items, view.hopMs, spec.halfLifeMs, atMs))
    }
    case 'currentItems': {
      const latest = new Map<Scalar, Item>()
      // A tie of time and id is the larger quantity's.
      for (const item of items) {
        const other = latest.get(item.value)
        const isTie = other !== undefined && other.eventMs === item.eventMs && other.id === item.id
        if (!isTie || item.quantity! > other.quantity!) latest.set(item.value, item)
      }
      return [...latest.values()]
        .filter(({ quantity }) => quantity! > 0)
        .sort(inOrder)
        .reverse()
        .slice(0, spec.k)
        .map(({ value }) => value)
    }
  }
}

/** NaN is no value, minus zero is zero, and whole numbers that a number holds are numbers. */
function scalar(value: Value): Scalar | undefined {
  if (value === null || typeof value === 'object') return undefined
  if (typeof value === 'bigint')
    return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (typeof value === 'number') return Number.isNaN(value) ? undefined : value === 0 ? 0 : value
  return value
}

function number(value: Scalar | undefined): number | undefined {
  return value === undefined || typeof value === 'string' ? undefined : Number(value)
}

const orNull = (value: number) => (Number.isNaN(value) ? null : value)

function compare(a: Scalar, b: Scalar): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** By time, then id (none first), then value. */
function inOrder(a: Item, b: Item): number {
  if (a.eventMs !== b.eventMs) return a.eventMs - b.eventMs
  if (a.id !== b.id) return a.id === undefined ? -1 : b.id === undefined ? 1 : compare(a.id, b.id)
  return compare(a.value, b.value)
}

/** A finite double times 2^1074, which makes any of them whole. */
function whole(value: number): bigint {
  const bits = new BigUint64Array(Float64Array.of(value).buffer)[0]!
  const exponent = Number((bits >> 52n) & 0x7ffn)
  const fraction = bits & 0xfffffffffffffn
  const size = exponent === 0 ? fraction : (fraction | (1n << 52n)) << BigInt(exponent - 1)
  return value < 0 ? -size : size
}

/** The double nearest to top / bottom, ties to even: the candidates around it are compared as fractions. */
function nearest(top: bigint, bottom: bigint): number {
  if (top === 0n) return 0
  if (top < 0n) return -nearest(-top, bottom)
  // Largest double that is not above, by bisection over the bit patterns, which are in the order of the values; it begins around a guess.
  const asDouble = (bits: bigint) => new Float64Array(BigUint64Array.of(bits).buffer)[0]!
  const UNIT = 1n << 1074n
  const size = top * UNIT
  const isAbove = (value: number) => whole(value) * bottom > size
  const guess = new BigUint64Array(Float64Array.of(roughly(top, bottom)).buffer)[0]!
  let low = guess > 8n ? guess - 8n : 0n
  let high = guess + 8n < INFINITY_BITS ? guess + 8n : INFINITY_BITS
  if (isAbove(asDouble(low))) low = 0n
  if (high < INFINITY_BITS && !isAbove(asDouble(high))) high = INFINITY_BITS
  while (high - low > 1n) {
    const middle = (low + high) >> 1n
    if (isAbove(asDouble(middle))) high = middle
    else low = middle
  }
  const below = whole(asDouble(low))
  const above = high === INFINITY_BITS ? below + (1n << 2045n) : whole(asDouble(high))
  const twice = 2n * size - (below + above) * bottom
  return asDouble(twice > 0n || (twice === 0n && (low & 1n) === 1n) ? high : low)
}

const INFINITY_BITS = 0x7ff0000000000000n

/** The quotient to a few bits less than a double's, finite. */
function roughly(top: bigint, bottom: bigint): number {
  const [hexTop, hexBottom] = [top.toString(16), bottom.toString(16)]
  const leading = Number(`0x${hexTop.slice(0, 15)}`) / Number(`0x${hexBottom.slice(0, 15)}`)
  const exponent = 4 * (hexTop.length - Math.min(15, hexTop.length) - hexBottom.length + Math.min(15, hexBottom.length))
  const half = Math.trunc(exponent / 2)
  return Math.min(leading * 2 ** half * 2 ** (exponent - half), Number.MAX_VALUE)
}

function exactSum(numbers: readonly number[]): number {
  const infinite = numbers.filter((value) => !Number.isFinite(value))
  if (infinite.length > 0) return infinite.every((value) => value === infinite[0]) ? infinite[0]! : Number.NaN
  return nearest(
    numbers.reduce((total, value) => total + whole(value), 0n),
    1n << 1074n,
  )
}

/** (n Σx² - (Σx)²) / n². */
function exactVariance(numbers: readonly number[]): number {
  const n = BigInt(numbers.length)
  const total = numbers.reduce((sum, value) => sum + whole(value), 0n)
  const squares = numbers.reduce((sum, value) => sum + whole(value) ** 2n, 0n)
  return nearest(n * squares - total ** 2n, (n * n) << 2148n)
}

function estimate(precision: number, values: readonly Scalar[]): number {
  const sketch = new HyperLogLog(precision)
  for (const value of values) sketch.add(value)
  return sketch.estimate()
}

/** DDSketch's answer without a sketch: the middle, as its error is counted, of the bucket that the value of that rank is in. */
function bucketMiddle(value: number, accuracy: number): number {
  const gamma = (1 + accuracy) / (1 - accuracy)
  if (Math.abs(value) <= 2 ** -1022 * gamma) return 0
  if (!Number.isFinite(value)) return value
  const bucket = Math.ceil(Math.log(Math.abs(value)) / Math.log(gamma))
  const middle = Math.min((2 * Math.exp(bucket * Math.log(gamma))) / (1 + gamma), Number.MAX_VALUE)
  return value < 0 ? -middle : middle
}

/** By blocks of time: an event's weight is relative to the end of its block; the blocks' sums are then brought to the moment. */
function decayed(items: readonly Item[], hopMs: number, halfLifeMs: number, atMs: number): number {
  let blockMs = hopMs
  while (blockMs < halfLifeMs) blockMs *= 16
  const blocks = new Map<number, number[]>()
  for (const { eventMs, value } of items) {
    const endMs = (Math.floor(eventMs / blockMs) + 1) * blockMs
    const weighed = Number(value) * twoTo((eventMs - endMs) / halfLifeMs)
    blocks.set(endMs, [...(blocks.get(endMs) ?? []), weighed])
  }
  return exactSum([...blocks].map(([endMs, weighed]) => exactSum(weighed) * twoTo((endMs - atMs) / halfLifeMs)))
}

/** 2^x by the series that defines decay (see the engine), so that it is the same on every machine. */
function twoTo(x: number): number {
  const exponent = Math.floor(x + 0.5)
  if (exponent < -1074) return 0
  const y = (x - exponent) * Math.LN2
  let series = 1
  for (let k = 14; k > 0; k--) series = 1 + (series * y) / k
  const half = Math.trunc(exponent / 2)
  return series * 2 ** half * 2 ** (exponent - half)
}
