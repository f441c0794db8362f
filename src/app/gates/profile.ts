// `headrace profile`: how a version's latency and throughput depend on batch size and concurrency, what the batcher's cost model makes of it, and
// what to set. A version is measured where it will run: in this process's pool, on this machine, under its present load.
import type { VersionRef } from '../../core/index.js'
import { type CostLine, fitCostLine, GateErrors, recommendBatchSize } from '../../release/index.js'
import type { ServedVersion } from '../../serving/index.js'
import type { App } from '../app.js'
import { type Machine, type Measured, machine, measure, memoryOf, type Run } from './measure.js'

export interface ProfileOptions {
  readonly signal: AbortSignal
  readonly progress: (step: string, done: number, total: number) => void
  /** Rows of a call; default 1, 2, 4, … 64. */
  readonly batchSizes?: readonly number[] | undefined
  /** Callers at once; default 1, 2, 4, 8, 16. */
  readonly concurrencies?: readonly number[] | undefined
  /** Of each of three repeats; default 300. */
  readonly durationMs?: number | undefined
}

export interface Profile {
  readonly model: string
  readonly version: number
  readonly digest: string
  readonly machine: Machine
  readonly memory: { readonly sizeBytes: number; readonly isMeasured: boolean }
  /** One caller, calls of more and more rows. */
  readonly batches: readonly Measured[]
  /** Calls of one row by more and more callers; the batcher joins them. */
  readonly callers: readonly Measured[]
  /** Of runs, without the wait for them; null for a version that takes one row at a time. */
  readonly cost: CostLine | null
  readonly recommended: { readonly maxBatchSize: number; readonly reason: string } | null
  /** Largest spread of the repeats of a measurement. */
  readonly noise: number
  readonly durationMs: number
}

const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64]
const CONCURRENCIES = [1, 2, 4, 8, 16]
const DURATION_MS = 300
const MEMORY_WAIT_MS = 5_000

/** Throws GATE_VERSION_NOT_FOUND, GATE_VERSION_CHANGED, GATE_TOO_BUSY, GATE_CANCELLED and what running the version throws. */
export async function profileVersion(app: App, ref: VersionRef, options: ProfileOptions): Promise<Profile> {
  try {
    return await profile(app, ref, options)
  } catch (error) {
    throw options.signal.aborted ? GateErrors.CANCELLED({ what: 'profile' }) : error
  }
}

async function profile(app: App, ref: VersionRef, options: ProfileOptions): Promise<Profile> {
  const { clock } = app.platform
  const { signal, progress, durationMs = DURATION_MS } = options
  const startedMs = clock.monotonicMs()
  const on = machine()
  const served = await loaded(app, ref)
  const canJoin = served.signature.batchAxis === 0
  const sizes = canJoin ? (options.batchSizes ?? BATCH_SIZES) : [1]
  const concurrencies = options.concurrencies ?? CONCURRENCIES
  const total = sizes.length + concurrencies.length + 1
  const runs: Run[] = []
  const batches: Measured[] = []
  for (const rows of sizes) {
    progress(`batches of ${rows}`, batches.length, total)
    batches.push(
      await measure(app, served, { rows, concurrency: 1 }, { signal, durationMs }, (run) => void runs.push(run)),
    )
  }
  const callers: Measured[] = []
  for (const concurrency of concurrencies) {
    progress(`${concurrency} callers`, batches.length + callers.length, total)
    callers.push(await measure(app, served, { rows: 1, concurrency }, { signal, durationMs }))
  }
  progress('memory', total - 1, total)
  const memory = await memoryOf(app, served, MEMORY_WAIT_MS, signal)
  if (app.pool.get(ref)?.digest !== served.digest) throw GateErrors.VERSION_CHANGED({ ...ref })
  // Requests of callers share runs with ours; sizes that we did not ask for are theirs too.
  const cost = fitCostLine(runs.filter(({ rows }) => sizes.includes(rows))) ?? null
  progress('done', total, total)
  return {
    model: ref.model,
    version: ref.version,
    digest: served.digest,
    machine: on,
    memory,
    batches,
    callers,
    cost,
    recommended: cost === null ? null : recommendation(cost),
    noise: Math.max(...batches.concat(callers).map(({ noise }) => noise)),
    durationMs: Math.round(clock.monotonicMs() - startedMs),
  }
}

function recommendation(cost: CostLine): { maxBatchSize: number; reason: string } {
  const maxBatchSize = Math.min(256, Math.max(8, recommendBatchSize(cost)))
  const per = (cost.rowMs + cost.fixedMs / maxBatchSize) * 1000
  return {
    maxBatchSize,
    reason: `In batches of ${maxBatchSize} a row costs ${per.toFixed(1)} µs, of which ${((cost.fixedMs / maxBatchSize) * 1000).toFixed(1)} µs are its share of the run; larger ones gain little and make callers wait longer.`,
  }
}

/** In the pool and warm; throws why not. */
export async function loaded(app: App, ref: VersionRef): Promise<ServedVersion> {
  const known = (await app.source.list()).filter(({ model }) => model === ref.model).map(({ version }) => version)
  if (!known.includes(ref.version) && app.pool.status(ref) === undefined)
    throw GateErrors.VERSION_NOT_FOUND({ model: ref.model, version: String(ref.version), known })
  if (app.pool.status(ref)?.state !== 'ready') await app.pool.load(app.repository.prepare(await app.source.get(ref)))
  return app.pool.resolve(ref.model, ref.version)
}
