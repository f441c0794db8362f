// How fast a version is, through its own leaf as callers' requests go, but beside them: at low priority, and not counted in its statistics.
import os from 'node:os'
import { type HeadraceError, versionKey } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import { GateErrors } from '../../release/index.js'
import type { LeafResult, ServedVersion } from '../../serving/index.js'
import { concatenateRows, rowsToTensors, type Tensor, type TensorMap } from '../../tensor/index.js'
import type { App } from '../app.js'
import { rowSchema } from '../views.js'
import { zeroInputs } from './inputs.js'

export interface MeasureOptions {
  readonly signal: AbortSignal
  /** Of one measurement after the warm-up; it is made three times. */
  readonly durationMs: number
}

/** Latency of calls that were made one after the other by each of so many callers. */
export interface Measured {
  readonly rows: number
  readonly concurrency: number
  readonly calls: number
  /** Medians over the repeats. */
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly rowsPerSecond: number
  /** Largest over smallest median latency of the repeats, less one: how noisy the machine was. */
  readonly noise: number
  /** Calls turned away because others came first. */
  readonly turnedAway: number
}

/** Each compute time with the rows of its batch, for the cost model. */
export interface Run {
  readonly rows: number
  readonly ms: number
}

const REPEATS = 3
const WARM_UP_CALLS = 5
const CALL_MS = 60_000
const PAUSE_MS = 20

export async function measure(
  app: App,
  served: ServedVersion,
  { rows, concurrency }: { readonly rows: number; readonly concurrency: number },
  { signal, durationMs }: MeasureOptions,
  onRun: (run: Run) => void = () => undefined,
): Promise<Measured> {
  const { clock } = app.platform
  const tensors = inputsOf(served, rows)
  const call = (): Promise<LeafResult> => {
    signal.throwIfAborted()
    const leaf = (app.pool.get(served.ref) ?? served).leaf
    const input = { tensors, rows, outputs: undefined, priority: 'low' as const, isTest: true }
    return leaf.call(input, Deadline.in(clock, CALL_MS))
  }
  for (let i = 0; i < WARM_UP_CALLS; i++) await call().catch(orTurnedAway)
  const repeats: { readonly sorted: number[]; readonly perSecond: number }[] = []
  let turnedAway = 0
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const times: number[] = []
    const startedMs = clock.monotonicMs()
    const untilMs = startedMs + durationMs
    const caller = async () => {
      do {
        const before = clock.monotonicMs()
        try {
          const { batchRows, computeMs } = await call()
          times.push(clock.monotonicMs() - before)
          onRun({ rows: batchRows, ms: computeMs })
        } catch (error) {
          orTurnedAway(error)
          turnedAway++
          await new Promise<void>((resolve) => clock.after(PAUSE_MS, resolve))
        }
      } while (clock.monotonicMs() < untilMs)
    }
    await Promise.all(Array.from({ length: concurrency }, caller))
    const tookMs = clock.monotonicMs() - startedMs
    if (times.length > 0)
      repeats.push({ sorted: times.sort((a, b) => a - b), perSecond: (times.length * rows * 1000) / tookMs })
  }
  if (repeats.length === 0)
    throw GateErrors.TOO_BUSY({ model: served.ref.model, version: served.ref.version, turnedAway })
  const at = (p: number) => median(repeats.map(({ sorted }) => quantile(sorted, p)))
  const medians = repeats.map(({ sorted }) => quantile(sorted, 0.5))
  return {
    rows,
    concurrency,
    calls: repeats.reduce((sum, { sorted }) => sum + sorted.length, 0),
    p50Ms: at(0.5),
    p95Ms: at(0.95),
    p99Ms: at(0.99),
    rowsPerSecond: median(repeats.map(({ perSecond }) => perSecond)),
    noise: Math.max(...medians) / Math.max(1e-6, Math.min(...medians)) - 1,
    turnedAway,
  }
}

/** Memory that the version takes, as the pool knows it; measured in the background after a first load, which is waited for. */
export async function memoryOf(
  app: App,
  served: ServedVersion,
  waitMs: number,
  signal: AbortSignal,
): Promise<{ readonly sizeBytes: number; readonly isMeasured: boolean }> {
  const { clock } = app.platform
  const untilMs = clock.monotonicMs() + waitMs
  const key = versionKey(served.ref)
  for (;;) {
    signal.throwIfAborted()
    const found = app.pool.memory().versions.find(({ ref }) => versionKey(ref) === key)
    if (found === undefined) throw GateErrors.VERSION_CHANGED({ ...served.ref })
    if (found.isMeasured || clock.monotonicMs() >= untilMs)
      return { sizeBytes: found.sizeBytes, isMeasured: found.isMeasured }
    await new Promise<void>((resolve) => clock.after(100, resolve))
  }
}

export interface Machine {
  readonly cpus: number
  readonly cpu: string
  readonly memoryBytes: number
  /** Runnable processes, mean of the last minute, before the measurement; 0 on Windows, which has no such figure. */
  readonly load: number
  readonly node: string
  readonly platform: string
}

export function machine(): Machine {
  const cpus = os.cpus()
  return {
    cpus: cpus.length,
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    memoryBytes: os.totalmem(),
    load: os.loadavg()[0]!,
    node: process.version,
    platform: `${os.platform()} ${os.arch()}`,
  }
}

function orTurnedAway(error: unknown): void {
  if ((error as HeadraceError).retry !== true || (error as HeadraceError).code === 'SERVING_RUN_TIMEOUT') throw error
}

/** The first warm-up row of model.json so many times, or zeros. */
function inputsOf(served: ServedVersion, rows: number): TensorMap {
  const { manifest, signature } = served
  const [example] = manifest.warmup
  if (example === undefined || signature.batchAxis === null)
    return example === undefined ? zeroInputs(signature, rows) : rowsToTensors([example.inputs], rowSchema(served))
  const one = rowsToTensors([example.inputs], rowSchema(served))
  return new Map(
    [...one].map(([name, tensor]): [string, Tensor] => [
      name,
      concatenateRows(Array.from({ length: rows }, () => tensor)),
    ]),
  )
}

function quantile(sorted: readonly number[], p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? sorted[0]!
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
