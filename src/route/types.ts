// The route tree and the state machine that interprets it. Pure: no timers, no promises, no input or output here.
import type { EndpointName, HeadraceError, ModelName } from '../core/index.js'
import type { TensorMap } from '../tensor/index.js'

/** Which version a leaf means: a number, an alias, or `latest` (the newest ready one; the development default). */
export type VersionSelector = number | 'latest' | { readonly alias: string }

/** A leaf: one version of one model. */
export interface VersionLeaf {
  readonly kind: 'version'
  readonly model: ModelName
  readonly version: VersionSelector
  /** Set by releases only: it may be called while the process holds this lease, and when that is lost during a call, `otherwise` answers. */
  readonly lease?: { readonly release: string; readonly otherwise: VersionLeaf }
  /** Set by releases only: keeps answers of its own, apart from those the endpoint's other leaves share. */
  readonly partition?: string
}

/** A leaf: the last answer this endpoint gave to the same request, whichever version gave it. Fails when there is none. */
export interface LastKnown {
  readonly kind: 'last-known'
  /** Older answers count as none, milliseconds; default: as long as the endpoint's cache keeps them. */
  readonly maxAgeMs?: number
}

/** A leaf: the same answer for every row, given without a model. Never fails, so it stands last in a fallback. */
export interface Constant {
  readonly kind: 'constant'
  /** Name of the leaf in records. */
  readonly name: string
  /** Output name to the value of each row: a number, a text, a truth value or a list of them. */
  readonly outputs: Readonly<Record<string, ConstantValue>>
}
export type ConstantValue = number | string | boolean | readonly (number | string | boolean)[]

export type RouteLeaf = VersionLeaf | LastKnown | Constant

/** Divides traffic. Arms are contiguous ranges of [0, 1) in the order given, so an arm that grows keeps its units. */
export interface Split {
  readonly kind: 'split'
  /** Names the node in records: `[{node, arm, probability}]`. */
  readonly name: string
  /** Assignment = hash(salt, unit); the id of the release or experiment. */
  readonly salt: string
  /** `unit` is sticky; `request` draws anew each time. A request without a unit is drawn anew too. */
  readonly by: 'unit' | 'request'
  readonly arms: readonly SplitArm[]
}

export interface SplitArm {
  readonly name: string
  readonly weight: number
  readonly route: RouteNode
  /** Set by releases only: while the process does not hold this lease, the arm of that name gets the traffic. */
  readonly lease?: { readonly release: string; readonly otherwise: string }
}

/** The first case whose conditions all hold; `otherwise` when none does. */
export interface Match {
  readonly kind: 'match'
  readonly name: string
  readonly cases: readonly { readonly name: string; readonly when: MatchWhen; readonly route: RouteNode }[]
  readonly otherwise: RouteNode
}

/** Each condition lists the values that satisfy it. A request without the value satisfies none. */
export interface MatchWhen {
  readonly tenant?: readonly string[]
  readonly unit?: readonly string[]
  readonly protocol?: readonly string[]
  readonly priority?: readonly ('high' | 'normal' | 'low')[]
  /** Request metadata by name: OIP `parameters`, the native call's `metadata`. */
  readonly metadata?: Readonly<Record<string, readonly string[]>>
}

/** Arms in order until one answers. */
export interface Fallback {
  readonly kind: 'fallback'
  readonly name: string
  readonly arms: readonly FallbackArm[]
}

export interface FallbackArm {
  readonly route: RouteNode
  /** Longest this arm may take, milliseconds; default: what is left, less what the later arms set aside. */
  readonly timeoutMs?: number
  /** Further tries of this arm when its error may pass by itself, within the endpoint's retry budget; default 0. */
  readonly retries?: number
}

/** Cheap first: goes on to the next arm while the answer is not sure enough. The last arm's answer always counts. */
export interface Cascade {
  readonly kind: 'cascade'
  readonly name: string
  readonly arms: readonly {
    readonly route: RouteNode
    /** Least confidence, 0 to 1, that every row must reach for this arm's answer to be taken; absent on the last arm. */
    readonly confidence?: number
  }[]
  /**
   * Output with class probabilities [rows, classes]; default: the one whose meaning is `probabilities`. Confidence is the row's
   * largest; of a single probability p, the larger of p and 1 - p. An answer without the output is never sure.
   */
  readonly output?: string
}

/** Answers from `primary`; a sampled share also goes to `shadow`, after the reply, where it can slow or fail nothing. */
export interface Shadow {
  readonly kind: 'shadow'
  readonly name: string
  readonly primary: RouteNode
  readonly shadow: RouteNode
  /** Share of requests copied, 0 to 1; default 1. */
  readonly sample: number
  /** Copies of this node under way at once; more are skipped and counted. Default 64. */
  readonly maxInFlight: number
  /** Set by releases only: nothing is copied while the process does not hold this lease. */
  readonly lease?: string
}

/** All arms at once, or one more each `staggerMs`; the first answer wins and the others are cancelled. */
export interface Fastest {
  readonly kind: 'fastest'
  readonly name: string
  readonly arms: readonly RouteNode[]
  /** 0 starts all at once; above, an arm starts when the ones before it have failed or not answered for so long. Default 0. */
  readonly staggerMs: number
}

/** The arm of least cost that is well and expected to finish in time; then the next. */
export interface Cheapest {
  readonly kind: 'cheapest'
  readonly name: string
  readonly arms: readonly {
    readonly route: RouteNode
    /** Cost of a row in any unit, the same for all arms. */
    readonly cost: number
  }[]
}

/** Several arms at once, their answers combined. */
export interface Ensemble {
  readonly kind: 'ensemble'
  readonly name: string
  /** `average` and `weighted`: numeric outputs; `vote`: labels; `stack`: the arms' outputs are the inputs of `meta`. */
  readonly combine: 'average' | 'weighted' | 'vote' | 'stack'
  readonly arms: readonly { readonly name: string; readonly route: RouteNode; readonly weight?: number }[]
  /** For `stack`: each input of the meta-model gets the output so named of the arms, joined along the last axis. */
  readonly meta?: VersionLeaf
  /** Answers needed; default all. Arms that fail are left out as long as so many remain (not with `stack`). */
  readonly quorum?: number
}

export type RouteNode = RouteLeaf | Split | Match | Fallback | Cascade | Shadow | Fastest | Cheapest | Ensemble

/** What the interpreter may ask about the world. All synchronous. */
export interface RouteHealth {
  /** Whether a version may be called now: its circuit is closed, or half-open and this call is the probe. Asked only where there is an alternative. */
  admits(leaf: VersionLeaf): boolean
  /** Milliseconds a call of so many rows is expected to take; undefined when nothing is known. */
  expectedMs(leaf: VersionLeaf, rows: number): number | undefined
  /** Takes one retry from the endpoint's budget, if there is one left. */
  takeRetry(): boolean
  /** Reserves a place for one more copy of a shadow node. */
  takeShadow(node: string, maxInFlight: number): boolean
  /** Gives the place back: the copy has ended. */
  endShadow(node: string): void
}

/** Whether this process may call what a release added. Synchronous, on the monotonic clock, so that a process that stood still knows. */
export interface RouteLeases {
  holds(release: string): boolean
}

export interface RouteContext {
  readonly endpoint: EndpointName
  readonly unit: string | undefined
  /** Uniform on [0, 1), drawn once for the request; a node that needs chance derives it from this. */
  readonly draw: number
  /** For `match`. */
  readonly tenant?: string | undefined
  readonly protocol?: string | undefined
  readonly priority?: 'high' | 'normal' | 'low' | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  /** Default 1. */
  readonly rows?: number
  /** Milliseconds after start by which the reply must be out; Infinity when there is no limit. Default Infinity. */
  readonly deadlineMs?: number
  /** Default: every version is well, nothing is known, budgets are unlimited. */
  readonly health?: RouteHealth
  /** Default: none is held. */
  readonly leases?: RouteLeases | undefined
}

/** What a node decided, kept in the record: the probability makes later estimates unbiased. */
export interface RouteChoice {
  readonly node: string
  readonly arm: string
  readonly probability: number
  /** The draw fell on an arm whose lease was not held. */
  readonly isUnleased?: boolean
}

export type CallRole = 'primary' | 'attempt' | 'hedge' | 'shadow'

/** One thing the interpreter asks its driver to do. */
export type Step =
  /** Run a leaf; answer with `resume({ kind: 'result' | 'failure', call })`. */
  | CallStep
  | RefusedStep
  /** The answer of `call` is not needed any more: drop it if it is still queued. No event comes back for it. */
  | { readonly kind: 'cancel'; readonly call: number }
  /** Nothing to do until a call ends or `untilMs` (milliseconds after start) passes. */
  | { readonly kind: 'wait'; readonly untilMs?: number }
  | ReplyStep
  | { readonly kind: 'fail'; readonly error: HeadraceError }
  /** The reply is out and nothing more will be asked for; calls still running finish on their own and record themselves. */
  | { readonly kind: 'detach' }

/** A version was passed over because its circuit is open: nothing to do but to write it down. */
export interface RefusedStep {
  readonly kind: 'refused'
  readonly leaf: VersionLeaf
  readonly role: CallRole
  readonly error: HeadraceError
}

export interface CallStep {
  readonly kind: 'call'
  readonly call: number
  readonly leaf: RouteLeaf
  readonly role: CallRole
  /** The shadow node that this is a copy for. */
  readonly shadowOf: string | undefined
  /** Milliseconds after start by which this call is given up: never later than the request's own, shadows apart. */
  readonly deadlineMs: number
  /** `health.admits` was asked and said yes, so the circuit has to be told how the call ends. */
  readonly isGuarded: boolean
  /** A node reads outputs that the caller may not have asked for: ask the version for all of them. */
  readonly wantsAllOutputs: boolean
  /** The answer is combined with others, so it is no reply by itself. */
  readonly isPart: boolean
  /** The answers whose outputs are this call's inputs (`stackInputs`); undefined: the request's own inputs. */
  readonly inputsFrom: readonly TensorMap[] | undefined
}

/** Answer with the result of `call`, or with `answer` when a node combined it from several. */
export interface ReplyStep {
  readonly kind: 'reply'
  readonly call: number
  readonly answer: TensorMap | undefined
  /** The node that combined `answer`. */
  readonly combinedBy: string | undefined
  /** The route's first choice did not give this answer. */
  readonly isFallback: boolean
  /** The outermost choice that was a second best. */
  readonly fallback: RouteChoice | undefined
}

export type CallEvent =
  | {
      readonly kind: 'result'
      readonly call: number
      readonly answer: TensorMap
      readonly nowMs: number
      /** The output that means class probabilities, where a cascade looks for confidence when it names none. */
      readonly probabilities?: string | undefined
    }
  | { readonly kind: 'failure'; readonly call: number; readonly error: HeadraceError; readonly nowMs: number }
  /** The time a `wait` named has come. */
  | { readonly kind: 'time'; readonly nowMs: number }
  /** The step was carried out and the driver asks what else to do now (after `call`, `refused`, `cancel`, `reply` and `fail`). */
  | { readonly kind: 'next'; readonly nowMs: number }

/** One request's walk through the tree. `nowMs` is milliseconds after start. */
export interface RouteRun {
  start(context: RouteContext): Step
  resume(event: CallEvent): Step
  /**
   * The choices that stand now: one for each node that was entered, in the order they were first entered. A node that moves on to
   * another arm replaces its choice. Complete when the reply or failure is asked for.
   */
  readonly choices: readonly RouteChoice[]
}
