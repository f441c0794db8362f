// The live window, kept by reading the log, so that requests pay nothing for it; and only while somebody looks: the first question
// starts the reading, two minutes without one end it.
import type { Platform, Stop, Timer } from '../../core/index.js'
import type { FileLog, StoredRecord } from '../../log/index.js'
import { LiveWindow } from './live-window.js'
import type { LiveEndpoint, LiveOverview } from './types.js'

export interface LiveService {
  /** Every endpoint with traffic in the last quarter of an hour. */
  overview(): Promise<LiveOverview>
  endpoint(name: string): Promise<LiveEndpoint>
}

export interface LiveOptions {
  readonly platform: Platform
  readonly log: Pick<FileLog, 'durableThrough' | 'subscribe'>
  onClose(close: () => Promise<void>): void
}

const IDLE_MS = 120_000
/** After so long all that was counted is older than the window. */
const FORGET_MS = 15 * 60_000
/** Records that are read when somebody begins to look: of more, only the newest. A fifth of a second's work, in pieces of a millisecond. */
const MAX_BEHIND = 20_000
/** A question waits so long for the reading to catch up, so that the first answer says something. */
const MAX_WAIT_MS = 500
/** What is durable but not read yet is no news while it is less than this. */
const NEARLY = 500

export function openLive({ platform: { clock }, log, onClose }: LiveOptions): LiveService {
  let window = new LiveWindow()
  /** The next record to read. */
  let position = 1
  /** Wall time from which on every record was counted. */
  let startedMs = Number.POSITIVE_INFINITY
  let reading: { readonly stop: Stop } | undefined
  let lastAskedMs = 0
  let waiting: (() => void)[] = []
  let forgetting: Timer | undefined

  const isBehind = (): boolean => log.durableThrough() - position >= NEARLY

  function read(): void {
    forgetting?.cancel()
    const first = Math.max(1, log.durableThrough() + 1 - MAX_BEHIND)
    if (first > position) {
      position = first
      startedMs = Number.POSITIVE_INFINITY
    }
    const mine = { stop: log.subscribe(position, take) }
    reading = mine

    async function take(records: StoredRecord[]): Promise<void> {
      // A batch that was on its way when the reading stopped comes again with the next one.
      if (reading !== mine) return
      if (startedMs === Number.POSITIVE_INFINITY) startedMs = records[0]!.timeMs
      window.take(records, clock.nowMs())
      position = records.at(-1)!.seq + 1
      if (!isBehind()) wake()
    }
  }

  function wake(): void {
    const resolves = waiting
    waiting = []
    for (const resolve of resolves) resolve()
  }

  function stopWhenIdle(): void {
    clock.after(IDLE_MS, () => {
      if (reading === undefined) return
      if (clock.monotonicMs() - lastAskedMs >= IDLE_MS) stop()
      else stopWhenIdle()
    })
  }

  function stop(): void {
    reading?.stop()
    reading = undefined
    wake()
    forgetting = clock.after(FORGET_MS, () => {
      window = new LiveWindow()
    })
  }

  async function caughtUp(): Promise<void> {
    lastAskedMs = clock.monotonicMs()
    if (reading === undefined) {
      read()
      stopWhenIdle()
      if (log.durableThrough() < position) return
    } else if (!isBehind()) return
    await new Promise<void>((resolve) => {
      const timer = clock.after(MAX_WAIT_MS, resolve)
      waiting.push(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  onClose(async () => {
    stop()
    forgetting?.cancel()
  })

  return {
    async overview() {
      await caughtUp()
      return window.overview(clock.nowMs(), startedMs, isBehind())
    },
    async endpoint(name) {
      await caughtUp()
      return window.endpoint(name, clock.nowMs(), startedMs, isBehind())
    },
  }
}
