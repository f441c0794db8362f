// What a table's files get of its window states: now and then all that changed, as it was at one moment, with the positions of that moment.
// Between two checkpoints nothing is serialised: what came after the last one is in the streams, from the stored positions on.
//
// States are live objects. A checkpoint serialises them in turns, so whoever is about to change one calls `keep` first, which serialises it
// as it was when the checkpoint began: no stored state is ahead of its stored position.
import type { Platform, Timer } from '../../core/index.js'
import { FrameWriter } from './journal-format.js'
import type { MemoryTable } from './memory-table.js'
import type { TableFiles } from './table-files.js'
import { nextTurn, Turns } from './turns.js'
import type { StreamPosition } from './types.js'

/** How much a kill may leave to be caught up with. */
export const CHECKPOINT_MS = 2_000
/** States that changed are kept sooner when as much as this would be written; their writers wait when it is twice as much. */
const MAX_CHANGED_BYTES = 64 << 20
/** Of the time, what serialising states takes at most: for each millisecond of it, so many pass before the next checkpoint. */
const REST_PER_WORK = 8
/** Of steps that a turn has, one state is worth this many. */
const STATE_STEPS = 8

export class Checkpoints {
  #changed = new Set<string>()
  #changedBytes = 0
  #moved = new Set<string>()
  /** Of the running checkpoint: not serialised yet. */
  #pending = new Set<string>()
  #frames = new FrameWriter()
  #timer: Timer | undefined
  #running: Promise<void> | undefined
  /** What the running checkpoint has spent on serialising, and what the last one did. */
  #workMs = 0
  #lastWorkMs = 0
  #isClosed = false

  constructor(
    private readonly table: MemoryTable,
    /** Without them only sizes are looked at. */
    private readonly files: TableFiles | undefined,
    private readonly platform: Platform,
    private readonly everyMs: number,
  ) {}

  isPending(key: string): boolean {
    return this.#pending.has(key)
  }

  /** Call before a state is changed, replaced or removed. */
  keep(key: string): void {
    if (this.#pending.delete(key)) this.#take(key)
  }

  /** The state of `key` is another one now, or gone. */
  changed(key: string): void {
    if (this.#changed.has(key)) return
    this.#changed.add(key)
    const kept = this.table.states.get(key)
    // One that was never written is taken for as much as it has in memory, which is too much.
    this.#changedBytes += kept?.bytes?.length ?? kept?.sizeBytes ?? 0
  }

  moved(stream: string): void {
    this.#moved.add(stream)
  }

  /** Call after changes, in the turn that they were made in. A promise for who must not go on changing so fast. */
  soon(): Promise<void> | undefined {
    if (this.#isClosed || !this.#isDue) return undefined
    if (this.#changedBytes > MAX_CHANGED_BYTES) {
      void this.#begin().catch(() => undefined)
      return this.#changedBytes > 2 * MAX_CHANGED_BYTES ? this.#running : undefined
    }
    if (this.#running === undefined) {
      this.#timer ??= this.platform.clock.after(Math.max(this.everyMs, REST_PER_WORK * this.#lastWorkMs), () => {
        void this.#begin().catch(() => undefined)
      })
    }
    return undefined
  }

  /** Resolves when the files were given all that was written before. */
  async take(): Promise<void> {
    await this.#running?.catch(() => undefined)
    // One that has begun since then takes it all.
    await (this.#running ?? (this.#isDue ? this.#begin() : undefined))
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  get #isDue(): boolean {
    return this.#changed.size > 0 || this.#moved.size > 0
  }

  #begin(): Promise<void> {
    if (this.#running !== undefined) return this.#running
    this.#timer?.cancel()
    this.#timer = undefined
    const running = this.#run().finally(() => {
      this.#running = undefined
      this.table.checkpointing = undefined
      void this.soon()
    })
    this.#running = running
    this.table.checkpointing = running.catch(() => undefined)
    return running
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.platform
    // Writers change states and say so within one turn: between turns states and positions are of one moment.
    await nextTurn()
    this.#workMs = 0
    const keys = this.#changed
    const positions = new Map<string, StreamPosition>()
    for (const stream of this.#moved) positions.set(stream, this.table.positions.get(stream)!)
    this.#pending = new Set(keys)
    this.#changed = new Set()
    this.#changedBytes = 0
    this.#moved = new Set()
    try {
      const turns = new Turns(clock)
      for (const key of keys) {
        this.keep(key)
        const pause = turns.next(STATE_STEPS)
        if (pause) await pause
      }
    } catch (error) {
      logger.error({ err: error, table: this.table.name }, 'window states cannot be written; trying again')
      this.#pending.clear()
      this.#frames = new FrameWriter()
      for (const key of keys) this.changed(key)
      for (const stream of positions.keys()) this.moved(stream)
      throw error
    }
    // In one step, so that a snapshot has both or neither.
    for (const [stream, at] of positions) {
      this.#frames.position(stream, at)
      this.table.keptPositions.set(stream, at)
    }
    const frames = this.#frames.transaction()
    this.#lastWorkMs = this.#workMs
    await this.files?.append(frames)
  }

  #take(key: string): void {
    const { clock } = this.platform
    const startedMs = clock.monotonicMs()
    const kept = this.table.keepState(key, this.files !== undefined)
    if (this.files !== undefined) {
      if (kept?.bytes) this.#frames.state(key, kept.newestEventMs, kept.bytes)
      else this.#frames.removed(key)
    }
    this.#workMs += clock.monotonicMs() - startedMs
  }
}
