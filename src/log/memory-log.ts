// A log without files, for tests of whoever writes to or reads from one. It encodes like the real one, so what it gives
// back went through the stored format, with sampling and redaction; everything is durable at once.
import type { Platform, Stop } from '../core/index.js'
import { LogErrors } from './errors.js'
import { DEFAULT_POLICY } from './options.js'
import { RecordEncoder } from './record-encoder.js'
import { Slab } from './slab.js'
import { parseRecord } from './stored-record.js'
import type { LogPolicy, LogPosition, PredictionLog, StoredRecord } from './types.js'

export interface MemoryLogOptions {
  readonly platform: Platform
  readonly policy?: (endpoint: string) => LogPolicy
}

export interface MemoryLog extends PredictionLog {
  /** Everything appended so far. */
  readonly records: readonly StoredRecord[]
}

const MiB = 1024 * 1024

export function createMemoryLog(options: MemoryLogOptions): MemoryLog {
  const { platform, policy = () => DEFAULT_POLICY } = options
  const encoder = new RecordEncoder(policy, platform.random, MiB)
  const slab = new Slab(4 * MiB)
  const records: StoredRecord[] = []
  const wakes = new Set<() => void>()

  async function follow(
    from: LogPosition,
    batch: (records: StoredRecord[]) => Promise<void>,
    isStopped: () => boolean,
  ): Promise<void> {
    for (let next = Math.max(from, 1); !isStopped(); ) {
      // Also when there is something: `batch` is never called inside `append` or `subscribe`.
      await Promise.resolve()
      const waiting = records.slice(next - 1)
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => wakes.add(resolve))
        continue
      }
      try {
        if (!isStopped()) await batch(waiting)
        next += waiting.length
      } catch {
        await new Promise<void>((resolve) => platform.clock.after(RETRY_MS, resolve))
      }
    }
  }

  const wakeAll = (): void => {
    for (const wake of wakes) wake()
    wakes.clear()
  }

  return {
    records,
    append(record) {
      slab.clear()
      const seq = records.length + 1
      encoder.append(slab, seq, record)
      const stored = parseRecord(slab.bytes, 0, slab.used)
      if (!stored) return 0
      records.push(stored)
      wakeAll()
      return seq
    },
    durableThrough: () => records.length,
    whenDurable: (position) =>
      position > 0 && position <= records.length ? Promise.resolve() : Promise.reject(LogErrors.DROPPED()),
    subscribe(from, batch): Stop {
      let isStopped = false
      void follow(from, batch, () => isStopped)
      return () => {
        isStopped = true
        wakeAll()
      }
    },
  }
}

const RETRY_MS = 100
