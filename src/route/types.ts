// The route tree and the state machine that interprets it. Pure: no timers, no promises, no input or output here.
import type { EndpointName, HeadraceError, ModelName } from '../core/index.js'

/** Which version a leaf means: a number, an alias, or `latest` (the newest ready one; the development default). */
export type VersionSelector = number | 'latest' | { readonly alias: string }

/** A leaf: one version of one model. */
export interface VersionLeaf {
  readonly kind: 'version'
  readonly model: ModelName
  readonly version: VersionSelector
}

/** Divides traffic. Arms are contiguous ranges of [0, 1) in the order given, so an arm that grows keeps its units. */
export interface Split {
  readonly kind: 'split'
  /** Names the node in records: `[{node, arm, probability}]`. */
  readonly name: string
  /** Assignment = hash(salt, unit); the id of the release or experiment. */
  readonly salt: string
  /** `unit` is sticky; `request` draws anew each time. A request without a unit is drawn anew too. */
  readonly by: 'unit' | 'request'
  readonly arms: readonly { readonly name: string; readonly weight: number; readonly route: RouteNode }[]
}

/** Shadow, bandit, cascade, fallback, fastest, cheapest, match and ensemble join this union with their own issues. */
export type RouteNode = VersionLeaf | Split

export interface RouteContext {
  readonly endpoint: EndpointName
  readonly unit: string | undefined
  /** Uniform on [0, 1), drawn once for the request; a node that needs chance derives it from this. */
  readonly draw: number
}

/** What a node decided, kept in the record: the probability makes later estimates unbiased. */
export interface RouteChoice {
  readonly node: string
  readonly arm: string
  readonly probability: number
}

export type CallRole = 'primary' | 'attempt' | 'hedge' | 'shadow'

/** One thing the interpreter asks its driver to do. */
export type Step =
  /** Run a leaf; answer with `resume({ kind: 'result' | 'failure', call })`. */
  | { readonly kind: 'call'; readonly call: number; readonly leaf: VersionLeaf; readonly role: CallRole }
  /** Nothing to do until a call ends or `untilMs` (milliseconds after start) passes. */
  | { readonly kind: 'wait'; readonly untilMs?: number }
  /** Answer with the result of `call`, or fail with `error`. */
  | { readonly kind: 'reply'; readonly call: number }
  | { readonly kind: 'fail'; readonly error: HeadraceError }
  /** The reply is out; calls still running finish on their own and record themselves. */
  | { readonly kind: 'detach' }

export type CallEvent =
  | { readonly kind: 'result'; readonly call: number }
  | { readonly kind: 'failure'; readonly call: number; readonly error: HeadraceError }
  /** The time a `wait` named has come. */
  | { readonly kind: 'time' }
  /** The step was carried out and the driver asks what else to do now (after `call` and `reply`). */
  | { readonly kind: 'next' }

/** One request's walk through the tree. */
export interface RouteRun {
  start(context: RouteContext): Step
  resume(event: CallEvent): Step
  /** The choices made so far, outermost first. */
  readonly choices: readonly RouteChoice[]
}
