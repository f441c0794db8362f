// The state machine under all nodes. A node that has to remember something while its arms run is a Frame; the frames of a
// request form a tree whose leaves are calls, and what happens to a call travels up from frame to frame.
// A failure that is known at once (a refused circuit, no time left) is posted and travels after the node that caused it has
// finished entering its arms, so that no frame is re-entered while it is at work.
import type { HeadraceError } from '../core/index.js'
import type { TensorMap } from '../tensor/index.js'
import { RouteErrors } from './errors.js'
import { leafText } from './leaf-text.js'
import type {
  CallEvent,
  CallRole,
  RouteChoice,
  RouteContext,
  RouteHealth,
  RouteLeaf,
  RouteRun,
  Step,
  VersionLeaf,
} from './types.js'

/** What travels up when a subtree has answered. */
export interface Answer {
  /** The call that gave it, or the first of those it was combined from. */
  readonly call: number
  readonly outputs: TensorMap
  readonly combinedBy: string | undefined
  readonly fallback: RouteChoice | undefined
  readonly probabilities: string | undefined
}

/** What a subtree is given by the nodes above it. */
export interface Scope {
  /** Milliseconds after start by which the subtree has to end. */
  readonly deadlineMs: number
  readonly role: CallRole
  /** Name of the shadow node this is below the shadow of. */
  readonly shadowOf: string | undefined
  /** Someone else can answer when this subtree does not, so circuits are asked. */
  readonly isGuarded: boolean
  readonly wantsAllOutputs: boolean
  /** The answer is combined with others, so it is no reply by itself. */
  readonly isPart: boolean
  /** Uniform on [0, 1): what is left of the request's draw. */
  readonly draw: number
}

/** Whoever entered a subtree, told once how it ended. */
export interface Parent {
  answered(arm: number, answer: Answer): void
  failed(arm: number, error: HeadraceError): void
}

/** A subtree that is running. */
export interface Running {
  /** Nobody wants the answer any more: cancels its calls and says nothing to its parent. */
  cancel(): void
}

/** A node, checked and prepared once per tree. */
export interface CompiledNode {
  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running
  /** What it is expected to take, milliseconds: its first version's; undefined when nothing is known. */
  expectedMs(run: Run): number | undefined
  /** Answers without calling a version, so it needs next to no time. */
  readonly isInstant: boolean
  /**
   * The whole way through a subtree in which every request makes one call: leaves, splits and matches. Undefined for all others.
   * The choices are added to `choices`.
   */
  readonly select: ((context: RouteContext, draw: number, choices: RouteChoice[]) => VersionLeaf) | undefined
}

/** A frame that acts when time passes, calls apart. */
export interface Timed {
  /** Milliseconds after start. */
  readonly dueMs: number
  timePassed(): void
}

const WELL: RouteHealth = {
  admits: () => true,
  expectedMs: () => undefined,
  takeRetry: () => true,
  takeShadow: () => true,
  endShadow: () => {},
}

interface PendingShadow {
  readonly node: CompiledNode
  readonly name: string
  readonly maxInFlight: number
  readonly draw: number
  /** Stands in the choices when the place was refused. */
  readonly refused: RouteChoice
}

export class Run implements RouteRun, Parent {
  readonly choices: RouteChoice[] = []
  context!: RouteContext
  health: RouteHealth = WELL
  nowMs = 0
  #limitMs = Number.POSITIVE_INFINITY
  #nextCall = 0
  #steps: Step[] = []
  #calls: CallFrame[] = []
  #timed: Timed[] = NO_TIMED
  #posted: CallFrame[] = []
  #shadows: PendingShadow[] = NO_SHADOWS
  #shadowsRunning = 0
  #isOver = false
  #isDetached = false

  constructor(private readonly root: CompiledNode) {}

  start(context: RouteContext): Step {
    this.context = context
    this.health = context.health ?? WELL
    this.#limitMs = context.deadlineMs ?? Number.POSITIVE_INFINITY
    this.root.enter(this, this, 0, {
      deadlineMs: this.#limitMs,
      role: 'primary',
      shadowOf: undefined,
      isGuarded: false,
      wantsAllOutputs: false,
      isPart: false,
      draw: context.draw,
    })
    this.#settle()
    return this.#next()
  }

  resume(event: CallEvent): Step {
    if (this.#isDetached) return DETACH
    if (event.nowMs > this.nowMs) this.nowMs = event.nowMs
    switch (event.kind) {
      case 'result': {
        this.#passTime(false)
        const frame = this.#take(event.call)
        if (frame) {
          frame.end()
          frame.parent.answered(frame.arm, {
            call: event.call,
            outputs: event.answer,
            combinedBy: undefined,
            fallback: undefined,
            probabilities: event.probabilities,
          })
        }
        break
      }
      case 'failure': {
        this.#passTime(false)
        const frame = this.#take(event.call)
        if (frame) {
          frame.end()
          frame.parent.failed(frame.arm, event.error)
        }
        break
      }
      case 'time':
        this.#passTime(true)
        break
      case 'next':
        break
    }
    this.#settle()
    return this.#next()
  }

  /** The root has answered. */
  answered(_: number, { call, outputs, combinedBy, fallback }: Answer): void {
    // The driver was late to say that the time is over: so is the answer.
    if (this.nowMs > this.#limitMs) {
      this.failed(0, RouteErrors.DEADLINE_EXCEEDED({ leaf: 'the route', atMs: this.#limitMs }))
      return
    }
    for (const shadow of this.#shadows)
      if (!this.health.takeShadow(shadow.name, shadow.maxInFlight)) {
        this.#shadows = this.#shadows.filter((other) => other !== shadow)
        this.choose(shadow.refused)
      }
    this.#isOver = true
    this.#steps.push({
      kind: 'reply',
      call,
      answer: combinedBy === undefined ? undefined : outputs,
      combinedBy,
      isFallback: fallback !== undefined,
      fallback,
    })
  }

  /** The root has failed. */
  failed(_: number, error: HeadraceError): void {
    this.#isOver = true
    this.#shadows = NO_SHADOWS
    this.#steps.push({ kind: 'fail', error })
  }

  /** Records what a node chose; its earlier choice, if it had one, is replaced. */
  choose(choice: RouteChoice): void {
    // What the copies of a shadow choose is not what the reply came by.
    if (this.#isOver) return
    const { choices } = this
    for (let i = 0; i < choices.length; i++)
      if (choices[i]!.node === choice.node) {
        choices[i] = choice
        return
      }
    choices.push(choice)
  }

  call(leaf: RouteLeaf, parent: Parent, arm: number, scope: Scope, inputsFrom?: readonly TensorMap[]): Running {
    const frame = new CallFrame(this, leaf, this.#nextCall++, parent, arm, scope.deadlineMs)
    // Copies neither ask circuits nor tell them anything.
    const isGuarded = scope.isGuarded && scope.role !== 'shadow' && leaf.kind === 'version'
    if (leaf.kind === 'version') {
      if (this.nowMs >= scope.deadlineMs) return this.#post(frame, expired(leaf, scope.deadlineMs))
      if (isGuarded && !this.health.admits(leaf)) {
        const error = RouteErrors.CIRCUIT_OPEN({ leaf: leafText(leaf), retryAfterMs: 1000 })
        this.#steps.push({ kind: 'refused', leaf, role: scope.role, error })
        return this.#post(frame, error)
      }
    }
    this.#calls.push(frame)
    this.#steps.push({
      kind: 'call',
      call: frame.call,
      leaf,
      role: scope.role,
      shadowOf: scope.shadowOf,
      deadlineMs: scope.deadlineMs,
      isGuarded,
      wantsAllOutputs: scope.wantsAllOutputs,
      isPart: scope.isPart,
      inputsFrom,
    })
    return frame
  }

  cancelCall(call: number): void {
    if (this.#take(call)) this.#steps.push({ kind: 'cancel', call })
  }

  /** Runs a copy when the reply is out, if there is a place for it. */
  shadowAfterReply(shadow: PendingShadow): void {
    // An arm that was tried again has asked already.
    if (this.#shadows.some(({ name }) => name === shadow.name)) return
    this.#shadows = [...this.#shadows, shadow]
  }

  /** Whether an arm could still do something by then: when the time is over, only what answers at once can. */
  hasTimeFor(node: CompiledNode, deadlineMs: number): boolean {
    return this.nowMs < deadlineMs || node.isInstant
  }

  /** Whether a try beyond the first may go out. Copies never try again. */
  takeRetry(role: CallRole): boolean {
    return role !== 'shadow' && this.health.takeRetry()
  }

  addTimed(timed: Timed): void {
    if (!this.#timed.includes(timed)) this.#timed = [...this.#timed, timed]
  }

  removeTimed(timed: Timed): void {
    if (this.#timed.length > 0) this.#timed = this.#timed.filter((other) => other !== timed)
  }

  #post(frame: CallFrame, error: HeadraceError): Running {
    frame.refused = error
    this.#posted.push(frame)
    return frame
  }

  /** Delivers what was posted, which may post more. */
  #settle(): void {
    for (let frame = this.#posted.shift(); frame; frame = this.#posted.shift()) {
      if (frame.isOver) continue
      frame.end()
      frame.parent.failed(frame.arm, frame.refused!)
    }
  }

  /** Lets what is due happen, the earliest first. A call that ends at the very moment it is due still counts. */
  #passTime(isInclusive: boolean): void {
    for (;;) {
      let due: CallFrame | Timed | undefined
      for (const frame of this.#calls) if (due === undefined || frame.dueMs < due.dueMs) due = frame
      for (const timed of this.#timed) if (due === undefined || timed.dueMs < due.dueMs) due = timed
      if (due === undefined || due.dueMs > this.nowMs || (!isInclusive && due.dueMs === this.nowMs)) return
      due.timePassed()
      this.#settle()
    }
  }

  #take(call: number): CallFrame | undefined {
    const at = this.#calls.findIndex((frame) => frame.call === call)
    return at === -1 ? undefined : this.#calls.splice(at, 1)[0]
  }

  #next(): Step {
    if (this.#steps.length === 0 && this.#isOver && this.#shadows.length > 0) this.#startShadows()
    const step = this.#steps.shift()
    if (step) return step
    if (this.#isOver && this.#shadowsRunning === 0) {
      this.#isDetached = true
      return DETACH
    }
    let untilMs = Number.POSITIVE_INFINITY
    for (const { dueMs } of this.#calls) if (dueMs < untilMs) untilMs = dueMs
    for (const { dueMs } of this.#timed) if (dueMs < untilMs) untilMs = dueMs
    return untilMs === Number.POSITIVE_INFINITY ? WAIT : { kind: 'wait', untilMs }
  }

  /** A copy has as long as the request had, from now on. */
  #startShadows(): void {
    const shadows = this.#shadows
    this.#shadows = NO_SHADOWS
    for (const { name, node, draw } of shadows) {
      this.#shadowsRunning++
      const end = () => {
        this.#shadowsRunning--
        this.health.endShadow(name)
      }
      const deadlineMs = this.nowMs + this.#limitMs
      node.enter(this, { answered: end, failed: end }, 0, {
        deadlineMs,
        role: 'shadow',
        shadowOf: name,
        isGuarded: false,
        wantsAllOutputs: false,
        isPart: false,
        draw,
      })
    }
    this.#settle()
  }
}

/** A call of a leaf, from being asked for to its end. */
class CallFrame implements Running, Timed {
  isOver = false
  /** Set when it is refused without being asked for. */
  refused: HeadraceError | undefined = undefined

  constructor(
    private readonly run: Run,
    private readonly leaf: RouteLeaf,
    readonly call: number,
    readonly parent: Parent,
    readonly arm: number,
    readonly dueMs: number,
  ) {}

  end(): void {
    this.isOver = true
  }

  cancel(): void {
    if (this.isOver) return
    this.isOver = true
    this.run.cancelCall(this.call)
  }

  timePassed(): void {
    this.cancel()
    this.parent.failed(this.arm, expired(this.leaf, this.dueMs))
  }
}

/**
 * Whether every arm would refuse the request as this one did: the caller's mistake, or a caller who went away. Overload (429),
 * an absent or changing version (404, 409) and a timeout (408) say nothing about the other arms.
 */
export function isCallersFault({ status }: HeadraceError): boolean {
  return status >= 400 && status < 500 && status !== 404 && status !== 408 && status !== 409 && status !== 429
}

/** Milliseconds kept for sending the reply when a subtree must leave time for something that answers at once. */
export function replyReserveMs(leftMs: number): number {
  return Math.min(10, leftMs / 10)
}

function expired(leaf: RouteLeaf, atMs: number): HeadraceError {
  return RouteErrors.DEADLINE_EXCEEDED({ leaf: leafText(leaf), atMs })
}

const WAIT: Step = { kind: 'wait' }
const DETACH: Step = { kind: 'detach' }
const NO_TIMED: Timed[] = []
const NO_SHADOWS: PendingShadow[] = []
