// What the live window says: plain data, as the API gives it.

/** How requests were answered without a run of their own. */
export interface LiveCache {
  readonly hits: number
  /** By the run of an identical call that was under way. */
  readonly coalesced: number
  /** By the last answer known, because nothing else answered. */
  readonly stale: number
}

/** An endpoint over the window. */
export interface EndpointLive {
  readonly name: string
  readonly requests: number
  readonly rows: number
  /** Requests a second. */
  readonly rate: number
  /** Requests that the caller got an error for. */
  readonly errors: number
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  readonly p99Ms: number | null
  /** Mean rows of the batches that its calls ran in; null where none ran. */
  readonly batchRows: number | null
  readonly cache: LiveCache
  /** Requests in each half minute of the last quarter of an hour, oldest first; the last one is not over. Null: before the counting. */
  readonly history: readonly (number | null)[]
}

/** Whose figures they are. */
export interface LiveNodes {
  /** The nodes that they are the sum of. */
  readonly counted: readonly LiveNode[]
  /** Those that are known and not among them. */
  readonly missing: readonly MissingNode[]
  /** The metadata store does not answer: nothing is known of other nodes. */
  readonly isStoreAway: boolean
}

export interface LiveNode {
  readonly id: string
  /** The host's name: several nodes may have it. */
  readonly name: string
  /** Where it listens; null for the one that answers, and where that is not known. */
  readonly url: string | null
  /** It is the one that answers. */
  readonly isSelf: boolean
  /** How long ago it said so; 0 for the one that answers. */
  readonly ageMs: number
}

export interface MissingNode {
  readonly id: string
  readonly name: string
  readonly url: string | null
  readonly reason: string
}

export interface Live {
  readonly nodes: LiveNodes
  readonly nowMs: number
  /** The figures are of the time since then: a minute, or less when the window is younger. */
  readonly sinceMs: number
  /** The log is still being read: figures grow. */
  readonly isCatchingUp: boolean
}

export interface LiveOverview extends Live {
  /** Those with requests in the last quarter of an hour, by name. */
  readonly endpoints: readonly EndpointLive[]
  /** Endpoints beyond the most that are counted. */
  readonly uncounted: number
}

export interface LiveArm {
  readonly node: string
  readonly arm: string
  readonly requests: number
  readonly errors: number
}

export interface LiveVersion {
  /** As records name it: `fraud/2`. */
  readonly leaf: string
  readonly model: string
  readonly version: number
  /** Copies for a shadow are counted apart. */
  readonly isShadow: boolean
  readonly calls: number
  readonly errors: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** Each list has a value for each bucket, oldest first; counts are null before the counting. */
export interface LiveSeries {
  readonly startMs: number
  readonly bucketMs: number
  readonly requests: readonly (number | null)[]
  readonly errors: readonly (number | null)[]
  readonly p50Ms: readonly (number | null)[]
  readonly p95Ms: readonly (number | null)[]
  readonly p99Ms: readonly (number | null)[]
  readonly batchRows: readonly (number | null)[]
  readonly cached: readonly (number | null)[]
}

export interface LiveEndpoint extends Live, EndpointLive {
  /** Most frequent first. */
  readonly errorCodes: readonly { readonly code: string; readonly count: number }[]
  readonly flags: readonly { readonly flag: string; readonly count: number }[]
  readonly arms: readonly LiveArm[]
  readonly versions: readonly LiveVersion[]
  readonly series: LiveSeries
}
