// Loads ONNX versions and owns the threads they run in.
import { availableParallelism } from 'node:os'
import { type HeadraceError, type VersionRef, versionKey } from '../../core/index.js'
import type { ExecutionProvider, Isolation, VersionArtifact } from '../../tensor/index.js'
import type { BackendOptions } from '../types.js'
import { type OnnxBackend, onnxError, SessionBackend } from './backend.js'
import { fail, type OnnxFailure } from './failure.js'
import type { GraphCacheOptions } from './graph-cache.js'
import { InstancesBackend } from './instances-backend.js'
import type { LoadRequest } from './messages.js'
import type { OnnxThread } from './onnx-thread.js'
import { CPU } from './providers.js'
import { OnnxSession } from './session.js'
import { ThreadSession } from './thread-session.js'
import { OnnxThreads, type Placed } from './threads.js'

export interface OnnxBackendsOptions {
  /** Threads that versions share, default the number of cores and at least 2; a slow version gets one of its own on top. */
  readonly threads?: number
  /** Told of a version whose thread died: every run of it fails with ONNX_THREAD_DIED until it is loaded anew. */
  readonly onFailure?: (ref: VersionRef, error: HeadraceError) => void
  /** What versions run on whose model.json does not say, in order of preference; default the CPU. */
  readonly providers?: readonly ExecutionProvider[] | undefined
  /** Where optimised graphs are kept; without it they are made anew at each load. */
  readonly graphCache?: GraphCacheOptions | undefined
  /** The threads' program; another one only in tests of threads that die. */
  readonly worker?: URL
}

export interface OnnxBackends {
  /** Optional: starts what loading needs while the caller still does something else. Resolves when it is there. */
  prepare(options: BackendOptions): Promise<void>
  /** A BackendFactory. Rejects with the ONNX_ codes of errors.ts. */
  load(artifact: VersionArtifact, options: BackendOptions): Promise<OnnxBackend>
  /**
   * For drills: ends a thread that runs this model, or version of it, as if it had failed. False when none does; a tiny model runs
   * on the main thread.
   */
  kill(model: string, version: number | undefined): boolean
  /** Lets loads and runs under way finish, closes every backend and ends the threads. */
  close(): Promise<void>
}

/** A backend that is not closed. */
interface Open {
  readonly ref: VersionRef
  readonly thread: OnnxThread | undefined
  instances: InstancesBackend | undefined
}

/** Starts nothing, and does not load ONNX Runtime, before `prepare` or the first load. */
export function createOnnxBackends(options: OnnxBackendsOptions = {}): OnnxBackends {
  const open = new Map<SessionBackend, Open>()
  const threads = new OnnxThreads(options.threads ?? Math.max(2, availableParallelism()), onDeath, options.worker)
  let isClosed = false

  function onDeath(dead: OnnxThread, failure: OnnxFailure): void {
    for (const [backend, { ref, thread, instances }] of open) {
      if (thread !== dead) continue
      const error = onnxError(failure, versionKey(ref))
      backend.fail(error)
      if (instances === undefined || instances.lost(backend, error)) options.onFailure?.(ref, error)
    }
  }

  async function createBackend({ ref }: VersionArtifact, placed: Placed): Promise<SessionBackend> {
    const { signature, labels, notBatchedBecause, layout, memoryBytes, ...measured } = placed.loaded
    const { createMs, batch1Ms, largestBatchMs } = measured
    const session =
      placed.kind === 'inline'
        ? await OnnxSession.create({ ...layout, bytes: placed.bytes })
        : new ThreadSession(placed.thread, placed.session, () => threads.release(placed.thread, placed.session))
    const backend = new SessionBackend({
      model: versionKey(ref),
      session,
      onClosed: () => void open.delete(backend),
      signature,
      labels,
      isolation: placed.kind,
      providers: placed.loaded.providers.map(({ name }) => name),
      warmUp: { createMs, batch1Ms, largestBatchMs },
      notBatchedBecause,
      memoryBytes,
    })
    open.set(backend, { ref, thread: placed.kind === 'thread' ? placed.thread : undefined, instances: undefined })
    return backend
  }

  async function load(artifact: VersionArtifact, backendOptions: BackendOptions): Promise<OnnxBackend> {
    const { instances = 1, isolation } = artifact.manifest
    if (instances === 1) return loadOne(artifact, isolation, backendOptions)
    const { clock, logger } = backendOptions.platform
    const model = versionKey(artifact.ref)
    const one = () => loadOne(artifact, 'dedicated', backendOptions)
    const loads = await Promise.allSettled(Array.from({ length: instances }, one))
    const loaded = loads.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const failed = loads.find((result) => result.status === 'rejected')
    if (failed !== undefined) {
      await Promise.all(loaded.map((backend) => backend.close()))
      throw failed.reason
    }
    const filled = async () => join(await one(), all)
    const all = new InstancesBackend({ model, instances: loaded, loadOne: filled, clock, logger })
    for (const backend of loaded) join(backend, all)
    return all
  }

  /** From now on the death of the backend's thread is the business of all instances. */
  function join(backend: SessionBackend, instances: InstancesBackend): SessionBackend {
    const entry = open.get(backend)
    if (entry !== undefined) entry.instances = instances
    return backend
  }

  async function loadOne(
    artifact: VersionArtifact,
    isolation: Isolation | 'dedicated',
    { platform }: BackendOptions,
  ): Promise<SessionBackend> {
    const { ref } = artifact
    try {
      const request = loadRequest(artifact, options, platform.clock.nowMs())
      const placed = await threads.load(request, isolation, platform)
      for (const { name, reason } of placed.loaded.passedOver) {
        const running = placed.loaded.providers.map((provider) => provider.name).join(', ')
        platform.logger.warn(
          { model: ref.model, version: ref.version, provider: name, reason },
          `${versionKey(ref)} runs on ${running}: the execution provider "${name}" is not there`,
        )
      }
      const backend = await createBackend(artifact, placed)
      // The thread may have died, or everything been closed, while the backend was made.
      const reason = placed.kind === 'thread' ? placed.thread.failure : undefined
      if (reason || isClosed) {
        await backend.close()
        throw reason ?? fail('CLOSED', {})
      }
      return backend
    } catch (error) {
      throw onnxError(error, versionKey(ref))
    }
  }

  function kill(model: string, version: number | undefined): boolean {
    for (const { ref, thread } of open.values()) {
      if (thread === undefined || ref.model !== model || (version !== undefined && ref.version !== version)) continue
      thread.kill()
      return true
    }
    return false
  }

  async function close(): Promise<void> {
    isClosed = true
    await Promise.all([threads.close(), ...[...open.keys()].map((backend) => backend.close())])
  }

  return { prepare: ({ platform }) => threads.prepare(platform), load, kill, close }
}

function loadRequest(
  { file, digest, manifest }: VersionArtifact,
  { providers = [CPU], graphCache }: OnnxBackendsOptions,
  nowMs: number,
): LoadRequest {
  const { batching, features, warmup } = manifest
  return {
    kind: 'load',
    file,
    digest,
    isBatched: batching.enabled,
    maxBatchSize: batching.enabled ? (batching.maxBatchSizeUnderPressure ?? 2 * batching.maxBatchSize) : 1,
    features,
    warmup: warmup.map(({ inputs }) => inputs),
    providers: manifest.providers ?? providers,
    graphCache,
    nowMs,
  }
}
