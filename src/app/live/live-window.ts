// Counts of the last quarter of an hour by endpoint, in buckets of ten seconds. Pure: it is given records and the time. A bucket
// exists only where there were requests, so that a thousand idle endpoints cost nothing.
import type { RecordedCall, StoredPrediction, StoredRecord } from '../../log/index.js'
import type { BucketCounts, EndpointCounts, EndpointDetails, VersionCounts } from './counts.js'
import { addBins, countLatency, type LatencyBins, latencyBins, sparseBins } from './latency-bins.js'
import type { LiveArm } from './types.js'

export const BUCKET_MS = 10_000
const BUCKETS = 90
/** Buckets of the window that figures are of, besides the one that is not over. */
const WINDOW_BUCKETS = 6
/** Of `history`. */
export const BUCKETS_A_STEP = 3
/** Each with traffic in every bucket takes some 70 kB (measured 2026-11-23: 1,000 endpoints with two arms and a version each). */
const MAX_ENDPOINTS = 2000
/** Codes, flags, arms or versions of a bucket: an ensemble has an arm for each set of answers. */
const MAX_KEYS = 200

interface ArmCounts {
  requests: number
  errors: number
}

interface CountedVersion {
  readonly call: RecordedCall
  calls: number
  errors: number
  readonly latency: LatencyBins
}

interface Bucket {
  /** Which ten seconds of all time. */
  number: number
  requests: number
  rows: number
  errors: number
  hits: number
  coalesced: number
  stale: number
  batches: number
  batchRows: number
  readonly latency: LatencyBins
  /** Asked for of the last minute alone, and four fifths of the memory: older buckets have none. */
  details: Details | undefined
}

interface Details {
  readonly codes: Map<string, number>
  readonly flags: Map<string, number>
  /** By node, then by arm. */
  readonly arms: Map<string, Map<string, ArmCounts>>
  /** By leaf; copies for a shadow by `leaf shadow`. */
  readonly versions: Map<string, CountedVersion>
}

export class LiveWindow {
  readonly #endpoints = new Map<string, (Bucket | undefined)[]>()
  readonly #uncounted = new Set<string>()
  readonly #maxEndpoints: number

  constructor(maxEndpoints = MAX_ENDPOINTS) {
    this.#maxEndpoints = maxEndpoints
  }

  /** Endpoints beyond the most that are counted. */
  get uncounted(): number {
    return this.#uncounted.size
  }

  /** Records older than the window leave no trace. */
  take(records: readonly StoredRecord[], nowMs: number): void {
    for (const record of records) {
      if (record.kind === 'prediction') this.#prediction(record, nowMs)
      else if (record.kind === 'call') this.#lateCall(record.endpoint, record.timeMs, record.call, nowMs)
    }
  }

  /** Every endpoint with requests in the last quarter of an hour. `wholeMs`: what is missing since then did not happen. */
  endpoints(nowMs: number, startedMs: number, wholeMs = startedMs): EndpointCounts[] {
    this.#forget(nowMs)
    const sinceMs = windowStart(nowMs, startedMs)
    return [...this.#endpoints].map(([name, ring]) => summary(name, ring, nowMs, sinceMs, wholeMs))
  }

  /** Zeros for an endpoint that nobody called. */
  endpoint(name: string, nowMs: number, startedMs: number, wholeMs = startedMs): EndpointDetails {
    const ring = this.#endpoints.get(name) ?? []
    const sinceMs = windowStart(nowMs, startedMs)
    const { codes, flags, arms, versions } = detailsSince(ring, nowMs, sinceMs)
    return {
      ...summary(name, ring, nowMs, sinceMs, wholeMs),
      codes: [...codes],
      flags: [...flags],
      arms: [...arms].flatMap(([node, byArm]): LiveArm[] =>
        [...byArm].map(([arm, { requests, errors }]) => ({ node, arm, requests, errors })),
      ),
      versions: [...versions.values()].map(
        ({ call, calls, errors, latency }): VersionCounts => ({
          leaf: call.leaf,
          model: call.model,
          version: call.version,
          isShadow: call.role === 'shadow',
          calls,
          errors,
          latency: sparseBins(latency),
        }),
      ),
      buckets: wholeBuckets(ring, nowMs),
      firstBucket: Math.min(BUCKETS, Math.max(0, Math.ceil((wholeMs - seriesStart(nowMs)) / BUCKET_MS))),
    }
  }

  #prediction(record: StoredPrediction, nowMs: number): void {
    const bucket = this.#bucket(record.endpoint, record.timeMs, nowMs)
    if (bucket === undefined) return
    const { stages, route, calls, flags, error, rows } = record
    bucket.requests++
    bucket.rows += rows
    countLatency(bucket.latency, stages.admit + stages.features + stages.route + stages.shape)
    if (error !== null) bucket.errors++
    for (const call of calls) countCall(bucket, call)
    const { details } = bucket
    if (details === undefined) return
    if (error !== null) count(details.codes, error)
    for (const flag of flags) count(details.flags, flag)
    for (const { node, arm } of route) countArm(details, node, arm, error !== null)
  }

  #lateCall(endpoint: string, timeMs: number, call: RecordedCall, nowMs: number): void {
    const bucket = this.#bucket(endpoint, timeMs, nowMs)
    if (bucket !== undefined) countCall(bucket, call)
  }

  #bucket(endpoint: string, timeMs: number, nowMs: number): Bucket | undefined {
    const number = Math.floor(timeMs / BUCKET_MS)
    const current = Math.floor(nowMs / BUCKET_MS)
    if (number <= current - BUCKETS || number > current) return undefined
    let ring = this.#endpoints.get(endpoint)
    if (ring === undefined) {
      if (this.#endpoints.size >= this.#maxEndpoints) {
        if (this.#uncounted.size < MAX_ENDPOINTS) this.#uncounted.add(endpoint)
        return undefined
      }
      ring = new Array<Bucket | undefined>(BUCKETS).fill(undefined)
      this.#endpoints.set(endpoint, ring)
    }
    const place = number % BUCKETS
    const there = ring[place]
    if (there?.number === number) return there
    const bucket = emptyBucket(number, number >= current - WINDOW_BUCKETS ? emptyDetails() : undefined)
    ring[place] = bucket
    for (const other of ring)
      if (other !== undefined && other.number < current - WINDOW_BUCKETS) other.details = undefined
    return bucket
  }

  #forget(nowMs: number): void {
    const oldest = Math.floor(nowMs / BUCKET_MS) - BUCKETS
    for (const [name, ring] of this.#endpoints) {
      if (ring.some((bucket) => bucket !== undefined && bucket.number > oldest)) continue
      this.#endpoints.delete(name)
      this.#uncounted.clear()
    }
  }
}

function emptyBucket(number: number, details: Details | undefined): Bucket {
  return {
    number,
    requests: 0,
    rows: 0,
    errors: 0,
    hits: 0,
    coalesced: 0,
    stale: 0,
    batches: 0,
    batchRows: 0,
    latency: latencyBins(),
    details,
  }
}

function emptyDetails(): Details {
  return { codes: new Map(), flags: new Map(), arms: new Map(), versions: new Map() }
}

function count(counts: Map<string, number>, key: string): void {
  const before = counts.get(key)
  if (before !== undefined || counts.size < MAX_KEYS) counts.set(key, (before ?? 0) + 1)
}

function armOf(details: Details, node: string, arm: string): ArmCounts | undefined {
  let arms = details.arms.get(node)
  if (arms === undefined) {
    if (details.arms.size >= MAX_KEYS) return undefined
    arms = new Map()
    details.arms.set(node, arms)
  }
  const known = arms.get(arm)
  if (known !== undefined || arms.size >= MAX_KEYS) return known
  const made = { requests: 0, errors: 0 }
  arms.set(arm, made)
  return made
}

function countArm(details: Details, node: string, arm: string, isError: boolean): void {
  const counts = armOf(details, node, arm)
  if (counts === undefined) return
  counts.requests++
  if (isError) counts.errors++
}

function versionOf({ versions }: Details, call: RecordedCall): CountedVersion | undefined {
  const key = call.role === 'shadow' ? `${call.leaf} shadow` : call.leaf
  const known = versions.get(key)
  if (known !== undefined || versions.size >= MAX_KEYS) return known
  const made = { call, calls: 0, errors: 0, latency: latencyBins() }
  versions.set(key, made)
  return made
}

function countCall(bucket: Bucket, call: RecordedCall): void {
  if (call.cached === 'hit') bucket.hits++
  else if (call.cached === 'coalesced') bucket.coalesced++
  else if (call.cached === 'stale') bucket.stale++
  else if (call.batchRows > 0) {
    bucket.batches++
    bucket.batchRows += call.batchRows
  }
  const counts = bucket.details && versionOf(bucket.details, call)
  if (counts === undefined) return
  counts.calls++
  if (call.status !== 'ok') counts.errors++
  countLatency(counts.latency, call.latencyMs)
}

/** Starts with a bucket, unless the counting began later. */
export function windowStart(nowMs: number, startedMs: number): number {
  const start = (Math.floor(nowMs / BUCKET_MS) - WINDOW_BUCKETS) * BUCKET_MS
  return Math.min(nowMs, Math.max(start, startedMs))
}

function bucketAt(ring: readonly (Bucket | undefined)[], number: number): Bucket | undefined {
  const bucket = ring[number % BUCKETS]
  return bucket?.number === number ? bucket : undefined
}

function summary(
  name: string,
  ring: readonly (Bucket | undefined)[],
  nowMs: number,
  sinceMs: number,
  wholeMs: number,
): EndpointCounts {
  const current = Math.floor(nowMs / BUCKET_MS)
  const first = Math.floor(sinceMs / BUCKET_MS)
  const total = emptyBucket(current, undefined)
  const history = historySince(wholeMs, current)
  for (let back = 0; back < BUCKETS; back++) {
    const bucket = bucketAt(ring, current - back)
    if (bucket === undefined) continue
    const step = history.length - 1 - Math.floor(back / BUCKETS_A_STEP)
    if (history[step] !== null) history[step]! += bucket.requests
    if (bucket.number >= first) addTotals(total, bucket)
  }
  const seconds = Math.max(1, (nowMs - sinceMs) / 1000)
  return {
    name,
    requests: total.requests,
    rows: total.rows,
    rate: total.requests / seconds,
    errors: total.errors,
    hits: total.hits,
    coalesced: total.coalesced,
    stale: total.stale,
    batches: total.batches,
    batchRows: total.batchRows,
    latency: sparseBins(total.latency),
    history,
  }
}

/** Zeros for the steps that were counted as a whole; the one that is not over always is. */
function historySince(wholeMs: number, current: number): (number | null)[] {
  const steps = BUCKETS / BUCKETS_A_STEP
  return Array.from({ length: steps }, (_, i) => {
    const first = current - (steps - i) * BUCKETS_A_STEP + 1
    return i === steps - 1 || first * BUCKET_MS >= wholeMs ? 0 : null
  })
}

function addTotals(total: Bucket, bucket: Bucket): void {
  total.requests += bucket.requests
  total.rows += bucket.rows
  total.errors += bucket.errors
  total.hits += bucket.hits
  total.coalesced += bucket.coalesced
  total.stale += bucket.stale
  total.batches += bucket.batches
  total.batchRows += bucket.batchRows
  addBins(total.latency, bucket.latency)
}

function detailsSince(ring: readonly (Bucket | undefined)[], nowMs: number, sinceMs: number): Details {
  const total = emptyDetails()
  for (let n = Math.floor(sinceMs / BUCKET_MS); n <= Math.floor(nowMs / BUCKET_MS); n++) {
    const details = bucketAt(ring, n)?.details
    if (details !== undefined) addDetails(total, details)
  }
  return total
}

function addDetails(total: Details, bucket: Details): void {
  for (const [code, n] of bucket.codes) total.codes.set(code, (total.codes.get(code) ?? 0) + n)
  for (const [flag, n] of bucket.flags) total.flags.set(flag, (total.flags.get(flag) ?? 0) + n)
  for (const [node, arms] of bucket.arms)
    for (const [arm, { requests, errors }] of arms) {
      const counts = armOf(total, node, arm)
      if (counts === undefined) continue
      counts.requests += requests
      counts.errors += errors
    }
  for (const { call, calls, errors, latency } of bucket.versions.values()) {
    const counts = versionOf(total, call)
    if (counts === undefined) continue
    counts.calls += calls
    counts.errors += errors
    addBins(counts.latency, latency)
  }
}

/** When the series begins. */
export function seriesStart(nowMs: number): number {
  return (Math.floor(nowMs / BUCKET_MS) - BUCKETS + 1) * BUCKET_MS
}

/** One that is not over would end every line in a fall. */
function wholeBuckets(ring: readonly (Bucket | undefined)[], nowMs: number): (BucketCounts | null)[] {
  const first = seriesStart(nowMs) / BUCKET_MS
  return Array.from({ length: BUCKETS - 1 }, (_, i) => {
    const bucket = bucketAt(ring, first + i)
    if (bucket === undefined) return null
    const { requests, errors, hits, coalesced, batches, batchRows, latency } = bucket
    return { requests, errors, cached: hits + coalesced, batches, batchRows, latency: sparseBins(latency) }
  })
}
