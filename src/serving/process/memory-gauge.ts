// How much memory a version takes, measured where nothing else moves: in a child process of low priority that does nothing but load,
// collect its garbage and look. Measured versions stay loaded, because what a runtime keeps of a released one would hide the next one's
// growth; when the process has grown too large another takes its place.
import { type HeadraceError, type Platform, versionKey } from '../../core/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import { Kind, type LoadedVersion, type MemoryReport, type MemoryRequest, type ProcessOnnxOptions } from './messages.js'
import { ModelProcess } from './model-process.js'
import { processError } from './process-backend.js'

export interface MemoryGaugeOptions {
  readonly platform: Platform
  /** As for the versions that will be served. */
  readonly onnx?: ProcessOnnxOptions
  /** From this resident size on a process measures nothing more; default 1 GiB. */
  readonly maxBytes?: number
  /** A process that measures nothing for so long is ended; default 30,000. */
  readonly idleMs?: number
  /** A load that takes longer is given up; default 300,000. */
  readonly loadTimeoutMs?: number
}

export interface MemoryGauge {
  /**
   * Resident bytes of the version once it is loaded and its largest batch has run, at least the size of its file, for each of its
   * instances; with its process when it has one. One after the other. 0 for a version that runs elsewhere or is made of others. Rejects with what loading it rejects with.
   */
  measure(artifact: VersionArtifact): Promise<number>
  close(): Promise<void>
}

const GROUP = 'memory gauge'
/** Low enough to yield to whoever serves. */
const NICENESS = 10
const MAX_BYTES = 2 ** 30
const SETTLE_MS = 30
const STEADY_BYTES = 500_000
/** A session of the smallest model; less than that cannot be told from noise. */
const LEAST_BYTES = 500_000
/** A larger version hides what the runtime takes. */
const WARM_BYTES = 64e6
const IDLE_MS = 30_000
const LOAD_TIMEOUT_MS = 300_000

/** Starts no process before the first measurement. */
export function createMemoryGauge(options: MemoryGaugeOptions): MemoryGauge {
  const { platform, onnx = {}, maxBytes = MAX_BYTES, idleMs = IDLE_MS, loadTimeoutMs = LOAD_TIMEOUT_MS } = options
  const { clock, logger } = platform
  let process: ModelProcess | undefined
  /** The process that has its runtime. */
  let warm: ModelProcess | undefined
  let expiry = clock.after(0, () => undefined)
  let last: Promise<unknown> = Promise.resolve()
  let lastHandle = 0
  /** Resident bytes of a process with its runtime and nothing else; 0 until the first version has paid for that. */
  let baseBytes = 0

  function running(): ModelProcess {
    process ??= new ModelProcess({
      clock,
      logger,
      // Versions that share a thread are to share one, or every other would pay for its own.
      start: { group: GROUP, niceness: NICENESS, onnx: { ...onnx, threads: 1 } },
      exposesGc: true,
      onMemory: () => undefined,
      onEnd(ended) {
        if (ended === process) process = undefined
      },
    })
    return process
  }

  /** What is resident once that stays as it is: threads collect their garbage in their own time. */
  async function settledBytes(measuring: ModelProcess, hasLoader: boolean): Promise<number> {
    let last = Number.POSITIVE_INFINITY
    for (;;) {
      const { rssBytes } = await measuring.ask<MemoryReport>(Kind.MEMORY, { hasLoader } satisfies MemoryRequest)
      if (Math.abs(rssBytes - last) < STEADY_BYTES) return rssBytes
      last = rssBytes
      await new Promise<void>((resolve) => clock.after(SETTLE_MS, resolve))
    }
  }

  /** The first load also brings in the runtime, so what a small version takes is seen the second time. */
  async function warmUp(measuring: ModelProcess, artifact: VersionArtifact): Promise<void> {
    warm = measuring
    // Twice: the thread that the first one is loaded in becomes the one that versions share.
    for (let i = 0; i < 2 && artifact.sizeBytes < WARM_BYTES; i++)
      await measuring.ask<LoadedVersion>(Kind.LOAD, { handle: ++lastHandle, artifact })
    baseBytes = Math.max(0, (await settledBytes(measuring, true)) - artifact.sizeBytes)
  }

  async function end(): Promise<void> {
    expiry.cancel()
    const ended = process
    process = undefined
    await ended?.close()
  }

  async function measureNow(artifact: VersionArtifact): Promise<number> {
    expiry.cancel()
    const measuring = running()
    const timer = clock.after(loadTimeoutMs, () => measuring.kill(`a load took longer than ${loadTimeoutMs} ms`))
    try {
      await measuring.up
      if (measuring !== warm) await warmUp(measuring, artifact)
      // The thread that loads a slow version stays with it, and is no part of what the version takes: it is there before and after.
      const before = await settledBytes(measuring, true)
      await measuring.ask<LoadedVersion>(Kind.LOAD, { handle: ++lastHandle, artifact })
      const after = await settledBytes(measuring, false)
      if (after > maxBytes) await end()
      const { isolation, instances = 1 } = artifact.manifest
      const own = Math.max(artifact.sizeBytes, LEAST_BYTES, after - before)
      return instances * (isolation === 'process' ? baseBytes + own : own)
    } catch (error) {
      throw gaugeError(error, artifact)
    } finally {
      timer.cancel()
      expiry = clock.after(idleMs, () => void end())
    }
  }

  return {
    measure(artifact) {
      if (artifact.backend !== 'onnx' && artifact.backend !== 'script') return Promise.resolve(0)
      const measured = last.then(() => measureNow(artifact))
      last = measured.catch(() => undefined)
      return measured
    },
    close: end,
  }
}

function gaugeError(error: unknown, { ref }: VersionArtifact): HeadraceError {
  return processError(error, versionKey(ref), GROUP)
}
