// What the API answers, as far as the console reads it. OpenAPI at /api/docs has all of it.

export interface Status {
  readonly name: string
  readonly version: string
  readonly ready: boolean
  readonly startedAt: string
  readonly processes: number
  readonly log: { readonly durableThrough: number }
}

export interface Caller {
  readonly name: string
  readonly kind: 'key' | 'jwt' | 'anonymous'
  readonly tenant: string
  readonly grants: readonly { readonly role: string; readonly on?: readonly string[] }[]
  readonly predicts: readonly string[]
}

export interface LiveNode {
  readonly id: string
  readonly name: string
  readonly url: string | null
  readonly isSelf: boolean
  readonly ageMs: number
}

export interface LiveNodes {
  readonly counted: readonly LiveNode[]
  readonly missing: readonly {
    readonly id: string
    readonly name: string
    readonly url: string | null
    readonly reason: string
  }[]
  readonly isStoreAway: boolean
}

export interface EndpointView {
  readonly name: string
  readonly origin: 'declared' | 'pointed' | 'implicit'
  readonly ready: boolean
  readonly reason: string | null
  readonly model: string | null
  readonly version: number | null
  readonly description: string | null
  readonly deadlineMs: number
  readonly cache: {
    readonly enabled: boolean
    readonly key: string
    readonly scope: string
    readonly ttlMs: number
  } | null
}

export interface VersionView {
  readonly version: number
  readonly state: string
  readonly reason: string | null
  readonly digest: string | null
  readonly isolation: string | null
  readonly memory: { readonly usedBytes: number; readonly sizeBytes: number } | null
}

export interface ModelView {
  readonly name: string
  readonly aliases: Readonly<Record<string, number>>
  readonly versions: readonly VersionView[]
}

export interface EndpointLive {
  readonly name: string
  readonly requests: number
  readonly rows: number
  readonly rate: number
  readonly errors: number
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  readonly p99Ms: number | null
  readonly batchRows: number | null
  readonly cache: { readonly hits: number; readonly coalesced: number; readonly stale: number }
  /** Null: before the counting. */
  readonly history: readonly (number | null)[]
}

interface Window {
  readonly nodes: LiveNodes
  readonly nowMs: number
  readonly sinceMs: number
  readonly isCatchingUp: boolean
}

export interface LiveOverview extends Window {
  readonly endpoints: readonly EndpointLive[]
  readonly uncounted: number
}

export interface LiveArm {
  readonly node: string
  readonly arm: string
  readonly requests: number
  readonly errors: number
}

export interface LiveVersion {
  readonly leaf: string
  readonly model: string
  readonly version: number
  readonly isShadow: boolean
  readonly calls: number
  readonly errors: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

export interface LiveEndpoint extends Window, EndpointLive {
  readonly errorCodes: readonly { readonly code: string; readonly count: number }[]
  readonly flags: readonly { readonly flag: string; readonly count: number }[]
  readonly arms: readonly LiveArm[]
  readonly versions: readonly LiveVersion[]
  readonly series: {
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
}

export interface RouteView {
  readonly kind:
    | 'version'
    | 'last-known'
    | 'constant'
    | 'split'
    | 'match'
    | 'fallback'
    | 'cascade'
    | 'shadow'
    | 'fastest'
    | 'cheapest'
    | 'ensemble'
  readonly name: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly version: {
    readonly model: string
    readonly version: number | null
    readonly state: string | null
    readonly reason: string | null
  } | null
  readonly arms: readonly RouteArm[]
}

export interface RouteArm {
  readonly arm: string
  readonly share: number | null
  readonly settings: Readonly<Record<string, unknown>>
  readonly route: RouteView
}

export interface Actor {
  readonly kind: 'person' | 'rule' | 'system'
  readonly name: string
}

export interface PlanStep {
  readonly kind: 'shadow' | 'canary'
  readonly sample?: number
  readonly weight?: number
  readonly length: { readonly durationMs?: number; readonly units?: number }
}

export type ReleaseState = 'running' | 'paused' | 'completed' | 'aborted' | 'rolled-back'

export interface Release {
  readonly id: string
  readonly endpoint: string
  readonly model: string
  readonly from: number
  readonly to: number
  readonly plan: { readonly name?: string; readonly text: string; readonly steps: readonly PlanStep[] }
  readonly state: ReleaseState
  readonly step: number
  readonly revision: number
  readonly stepElapsedMs: number
  readonly startedMs: number
  readonly endedMs: number | null
  readonly startedBy: Actor
  readonly reason: string | null
}

export interface GuardPoint {
  readonly timeMs: number
  readonly step: number
  readonly estimate: number | null
  readonly low: number | null
  readonly high: number | null
  readonly eValue: number
  readonly candidate: number
  readonly reference: number
}

export interface Guard {
  readonly report: {
    readonly guard: string
    readonly verdict: 'failed' | 'passed' | 'inconclusive'
    readonly eValue: number
    readonly alpha: number
    readonly candidate: number
    readonly reference: number
    readonly relative: { readonly estimate: number; readonly low: number; readonly high: number } | null
    readonly summary: string
  }
  readonly series: readonly GuardPoint[]
}

export interface ReleaseStatus {
  /** To who belongs to a tenant: counts, guards, decisions and reasons are left out. */
  readonly isReduced: boolean
  readonly release: Release
  readonly weight: number
  readonly timeScale: number
  readonly progress: {
    readonly units: number | null
    readonly controlUnits: number | null
    readonly unitsNeeded: number
    readonly elapsedMs: number
    readonly durationMs: number | null
    readonly summary: string
  }
  readonly guards: readonly Guard[]
  readonly shadow: Readonly<Record<string, unknown>> | null
  readonly events: readonly {
    readonly decision: string
    readonly timeMs: number
    readonly kind: string
    readonly by: Actor
    readonly summary: string
    readonly evidence: Readonly<Record<string, unknown>>
  }[]
  readonly nodes: readonly {
    readonly node: string
    readonly revision: number | null
    readonly isWarm: boolean
    readonly holdsLease: boolean
    readonly weight: number
    readonly reason: string | null
    readonly ageMs: number
  }[]
}

export interface Decision {
  readonly id: string
  readonly number: number
  readonly timeMs: number
  readonly change: {
    readonly kind: string
    readonly subject: string
    readonly detail: Readonly<Record<string, unknown>>
  }
  readonly before: Readonly<Record<string, unknown>> | null
  readonly evidence: Readonly<Record<string, unknown>>
  readonly by: Actor
  readonly undoes: string | null
  readonly undoneBy: string | null
}

export interface DecisionExplanation {
  readonly decision: Decision
  readonly summary: string
  readonly canUndo: boolean
  readonly reason?: string
  readonly related: readonly Decision[]
}

export interface RecordedCall {
  readonly leaf: string
  readonly model: string
  readonly version: number
  readonly role: 'primary' | 'attempt' | 'hedge' | 'shadow'
  readonly status: string
  readonly latencyMs: number
  readonly queueMs: number
  readonly batchRows: number
  readonly cached?: 'hit' | 'coalesced' | 'stale'
}

export interface StoredTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly unknown[]
}

interface StoredColumn {
  readonly value?: unknown
  readonly values?: readonly unknown[]
}

export interface ServedGroup {
  readonly type: string
  readonly services?: readonly string[]
  readonly names: readonly string[]
  readonly values?: readonly unknown[]
  readonly rowValues?: readonly (readonly unknown[])[]
  readonly source?: string
  readonly sources?: readonly string[]
  readonly gap?: string
  readonly gaps?: readonly string[]
  readonly ageMs?: number
  readonly agesMs?: readonly (number | null)[]
  readonly redacted?: boolean
}

export interface PredictionRecord {
  readonly kind: 'prediction'
  readonly seq: number
  readonly id: string
  readonly timeMs: number
  readonly endpoint: string
  readonly tenant: string
  readonly unit: string | null
  readonly rows: number
  readonly protocol: string
  readonly route: readonly { readonly node: string; readonly arm: string; readonly probability: number }[]
  readonly calls: readonly RecordedCall[]
  readonly flags: readonly string[]
  readonly stages: { readonly admit: number; readonly features: number; readonly route: number; readonly shape: number }
  readonly cost: number | null
  readonly traceId: string | null
  readonly error: string | null
  readonly payload?: {
    readonly weight: number
    readonly inputs: readonly StoredTensor[]
    readonly served?: {
      readonly atMs: number
      readonly services: readonly string[]
      readonly keys: Readonly<Record<string, StoredColumn>>
      readonly groups: readonly ServedGroup[]
    }
    readonly outputs: readonly { readonly call: number; readonly tensors: readonly StoredTensor[] }[]
  } | null
}

export interface LateCallRecord {
  readonly kind: 'call'
  readonly seq: number
  readonly id: string
  readonly timeMs: number
  readonly prediction: string
  readonly endpoint: string
  readonly call: RecordedCall
}

export interface OutcomeRecord {
  readonly kind: 'outcome'
  readonly seq: number
  readonly id: string
  readonly timeMs: number
  readonly prediction: string
  readonly endpoint: string
  readonly name: string
  readonly value: string | number | boolean
  readonly happenedMs: number
  readonly knownMs: number
}

export interface DecisionRecord {
  readonly kind: 'decision'
  readonly seq: number
  readonly id: string
  readonly timeMs: number
  readonly change: string
  readonly subject: string
  readonly by: string
}

export type LogRecord = PredictionRecord | LateCallRecord | OutcomeRecord | DecisionRecord

export interface PredictionExplanation {
  readonly id: string
  readonly steps: readonly string[]
  readonly prediction: PredictionRecord | null
  readonly calls: readonly LateCallRecord[]
  readonly outcomes: readonly OutcomeRecord[]
  readonly endpoint: EndpointView | null
}
