// What a window counted, as plain data that nodes tell each other, and the sum of several of them as figures. Everything in it is
// relative to the present of the node that counted, so that no two clocks are compared.
import { addSparse, type LatencyBins, latencyBins, latencyQuantile, type SparseBins } from './latency-bins.js'
import type { EndpointLive, LiveArm, LiveEndpoint, LiveSeries, LiveVersion } from './types.js'

/** An endpoint over the last minute. */
export interface EndpointCounts {
  readonly name: string
  readonly requests: number
  readonly rows: number
  readonly errors: number
  /** Requests a second of the time that was counted. */
  readonly rate: number
  readonly hits: number
  readonly coalesced: number
  readonly stale: number
  readonly batches: number
  readonly batchRows: number
  readonly latency: SparseBins
  /** Null for what was before the counting. */
  readonly history: readonly (number | null)[]
}

export interface EndpointDetails extends EndpointCounts {
  readonly codes: readonly (readonly [string, number])[]
  readonly flags: readonly (readonly [string, number])[]
  readonly arms: readonly LiveArm[]
  readonly versions: readonly VersionCounts[]
  /** The last quarter of an hour without the bucket that is not over, oldest first; null without requests. */
  readonly buckets: readonly (BucketCounts | null)[]
  /** Those before this one were not counted. */
  readonly firstBucket: number
}

export interface VersionCounts extends Omit<LiveVersion, 'p50Ms' | 'p99Ms'> {
  readonly latency: SparseBins
}

export interface BucketCounts {
  readonly requests: number
  readonly errors: number
  readonly cached: number
  readonly batches: number
  readonly batchRows: number
  readonly latency: SparseBins
}

/** Each endpoint of any of the windows, by name. */
export function sumEndpoints(windows: readonly (readonly EndpointCounts[])[]): EndpointLive[] {
  const byName = new Map<string, EndpointCounts[]>()
  for (const window of windows)
    for (const counts of window) {
      const parts = byName.get(counts.name)
      if (parts) parts.push(counts)
      else byName.set(counts.name, [counts])
    }
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, parts]) => sumCounts(name, parts))
}

export type DetailedFigures = Omit<LiveEndpoint, 'nowMs' | 'sinceMs' | 'isCatchingUp' | 'nodes'>

/** One endpoint in several windows. The series is placed on the clock of whoever asks. */
export function sumDetails(
  name: string,
  parts: readonly EndpointDetails[],
  { startMs, bucketMs }: Pick<LiveSeries, 'startMs' | 'bucketMs'>,
): DetailedFigures {
  const arms = new Map<string, LiveArm>()
  for (const arm of parts.flatMap((part) => part.arms)) {
    const key = `${arm.node}\n${arm.arm}`
    const { requests = 0, errors = 0 } = arms.get(key) ?? {}
    arms.set(key, { ...arm, requests: requests + arm.requests, errors: errors + arm.errors })
  }
  const versions = new Map<string, VersionCounts[]>()
  for (const version of parts.flatMap((part) => part.versions)) {
    const key = `${version.leaf}\n${version.isShadow}`
    versions.set(key, [...(versions.get(key) ?? []), version])
  }
  return {
    ...sumCounts(name, parts),
    errorCodes: mostFirst(parts.flatMap(({ codes }) => codes)).map(([code, count]) => ({ code, count })),
    flags: mostFirst(parts.flatMap(({ flags }) => flags)).map(([flag, count]) => ({ flag, count })),
    arms: [...arms.values()],
    versions: [...versions.values()].map(sumVersion),
    series: { startMs, bucketMs, ...sumBuckets(parts) },
  }
}

/** Counts that are so many places old, and so belong further back. */
export function moved<T>(values: readonly T[], places: number, none: T): T[] {
  if (places <= 0) return [...values]
  return [...values.slice(places), ...new Array<T>(Math.min(places, values.length)).fill(none)]
}

function sumCounts(name: string, parts: readonly EndpointCounts[]): EndpointLive {
  const sum = (of: (part: EndpointCounts) => number): number => parts.reduce((total, part) => total + of(part), 0)
  const latency = sumLatency(parts)
  const steps = Math.max(0, ...parts.map(({ history }) => history.length))
  return {
    name,
    requests: sum(({ requests }) => requests),
    rows: sum(({ rows }) => rows),
    rate: Number(sum(({ rate }) => rate).toPrecision(4)),
    errors: sum(({ errors }) => errors),
    p50Ms: latencyQuantile(latency, 0.5),
    p95Ms: latencyQuantile(latency, 0.95),
    p99Ms: latencyQuantile(latency, 0.99),
    batchRows: meanBatch(
      sum(({ batchRows }) => batchRows),
      sum(({ batches }) => batches),
    ),
    cache: {
      hits: sum(({ hits }) => hits),
      coalesced: sum(({ coalesced }) => coalesced),
      stale: sum(({ stale }) => stale),
    },
    // What some of them counted is shown: a node that has just begun does not hide the others.
    history: Array.from({ length: steps }, (_, i) =>
      parts.every(({ history }) => (history[i] ?? null) === null) ? null : sum(({ history }) => history[i] ?? 0),
    ),
  }
}

function sumVersion(parts: readonly VersionCounts[]): LiveVersion {
  const { leaf, model, version, isShadow } = parts[0]!
  const latency = sumLatency(parts)
  return {
    leaf,
    model,
    version,
    isShadow,
    calls: parts.reduce((total, { calls }) => total + calls, 0),
    errors: parts.reduce((total, { errors }) => total + errors, 0),
    p50Ms: latencyQuantile(latency, 0.5),
    p99Ms: latencyQuantile(latency, 0.99),
  }
}

function sumBuckets(parts: readonly EndpointDetails[]): Omit<LiveSeries, 'startMs' | 'bucketMs'> {
  const length = Math.max(0, ...parts.map(({ buckets }) => buckets.length))
  const first = Math.min(length, ...parts.map(({ firstBucket }) => firstBucket))
  const columns = Array.from({ length }, (_, i) => parts.flatMap(({ buckets }) => buckets[i] ?? []))
  const sum = (buckets: readonly BucketCounts[], of: (bucket: BucketCounts) => number) =>
    buckets.reduce((total, bucket) => total + of(bucket), 0)
  const counted = (of: (bucket: BucketCounts) => number) =>
    columns.map((buckets, i) => (i < first ? null : sum(buckets, of)))
  const latencies = columns.map(sumLatency)
  return {
    requests: counted(({ requests }) => requests),
    errors: counted(({ errors }) => errors),
    p50Ms: latencies.map((bins) => latencyQuantile(bins, 0.5)),
    p95Ms: latencies.map((bins) => latencyQuantile(bins, 0.95)),
    p99Ms: latencies.map((bins) => latencyQuantile(bins, 0.99)),
    batchRows: columns.map((buckets) =>
      meanBatch(
        sum(buckets, ({ batchRows }) => batchRows),
        sum(buckets, ({ batches }) => batches),
      ),
    ),
    cached: counted(({ cached }) => cached),
  }
}

function sumLatency(parts: readonly { readonly latency: SparseBins }[]): LatencyBins {
  const bins = latencyBins()
  for (const { latency } of parts) addSparse(bins, latency)
  return bins
}

function meanBatch(rows: number, batches: number): number | null {
  return batches === 0 ? null : Number((rows / batches).toPrecision(3))
}

function mostFirst(counts: readonly (readonly [string, number])[]): [string, number][] {
  const byName = new Map<string, number>()
  for (const [name, count] of counts) byName.set(name, (byName.get(name) ?? 0) + count)
  return [...byName].sort(([, a], [, b]) => b - a)
}
