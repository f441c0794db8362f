// The faults that are active in this process. Each has an end and heals by itself; what they break asks here at every call.
import type { Clock, Logger, Timer } from '../../core/index.js'

/** What can be broken. Versions are `null` for every version of the model. */
export type Fault =
  | { readonly kind: 'delay'; readonly model: string; readonly version: number | null; readonly ms: number }
  /** Fails this share of the runs, 0 to 1. */
  | { readonly kind: 'error'; readonly model: string; readonly version: number | null; readonly rate: number }
  | { readonly kind: 'hang'; readonly model: string; readonly version: number | null }
  /** Ends the thread that runs a version, or a whole worker process, of the process `pid`. Over at once. */
  | {
      readonly kind: 'kill'
      readonly what: 'thread' | 'worker'
      readonly model: string | null
      readonly version: number | null
      readonly pid: number
    }
  | { readonly kind: 'redis'; readonly mode: 'drop' | 'slow'; readonly ms: number }
  /** Writes of the log and of the metadata store fail as on a full disk. */
  | { readonly kind: 'disk-full' }
  /** Moves the wall clock while it lasts, or the monotonic clock forward for good. */
  | { readonly kind: 'clock-skew'; readonly clock: 'wall' | 'monotonic'; readonly ms: number }

export type FaultKind = Fault['kind']

export interface ActiveFault {
  readonly id: string
  readonly fault: Fault
  /** Wall time, not skewed. */
  readonly startedMs: number
  readonly endsMs: number
}

interface Entry extends ActiveFault {
  readonly timer: Timer
}

export class Faults {
  readonly #active = new Map<string, Entry>()
  readonly #watchers = new Set<(active: readonly ActiveFault[]) => void>()
  readonly #heals = new Map<string, (() => void)[]>()

  constructor(
    /** The real clock, whatever is done to the one that everybody else sees. */
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  start(id: string, fault: Fault, durationMs: number): void {
    const startedMs = this.clock.nowMs()
    this.resume({ id, fault, startedMs, endsMs: startedMs + durationMs })
  }

  /** One that is active in another process has the same end here. */
  resume({ id, fault, startedMs, endsMs }: ActiveFault): void {
    const durationMs = Math.max(0, endsMs - this.clock.nowMs())
    const timer = this.clock.after(durationMs, () => this.end(id))
    this.#active.set(id, { id, fault, startedMs, endsMs, timer })
    this.logger.warn({ id, ...fault, durationMs }, 'chaos: a fault starts')
    this.#tell()
  }

  /** False when there is no such fault. */
  end(id: string): boolean {
    const entry = this.#active.get(id)
    if (entry === undefined) return false
    entry.timer.cancel()
    this.#active.delete(id)
    this.logger.warn({ id, kind: entry.fault.kind }, 'chaos: a fault is healed')
    for (const heal of this.#heals.get(id) ?? []) heal()
    this.#heals.delete(id)
    this.#tell()
    return true
  }

  endAll(): void {
    for (const id of [...this.#active.keys()]) this.end(id)
  }

  list(): ActiveFault[] {
    return [...this.#active.values()].map(({ id, fault, startedMs, endsMs }) => ({ id, fault, startedMs, endsMs }))
  }

  /** The newest of a kind that is about this version, or about none. */
  find<K extends FaultKind>(
    kind: K,
    model?: string,
    version?: number,
  ): (ActiveFault & { readonly fault: Extract<Fault, { kind: K }> }) | undefined {
    let found: Entry | undefined
    for (const entry of this.#active.values()) {
      const { fault } = entry
      if (fault.kind !== kind) continue
      if ('model' in fault && fault.model !== null && fault.model !== model) continue
      if ('version' in fault && fault.version !== null && fault.version !== version) continue
      found = entry
    }
    return found as (ActiveFault & { readonly fault: Extract<Fault, { kind: K }> }) | undefined
  }

  /** Resolves when the fault is over. */
  healed(id: string): Promise<void> {
    if (!this.#active.has(id)) return Promise.resolve()
    return new Promise((resolve) => {
      const heals = this.#heals.get(id) ?? []
      heals.push(resolve)
      this.#heals.set(id, heals)
    })
  }

  /** Calls `change` whenever a fault starts or ends. */
  watch(change: (active: readonly ActiveFault[]) => void): void {
    this.#watchers.add(change)
  }

  #tell(): void {
    const active = this.list()
    for (const change of this.#watchers) change(active)
  }
}
