// Loads one version and asks it its test predictions.
import { HeadraceError, type Logger, type Platform, type VersionRef } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { Signature, TensorMap, VersionArtifact } from '../../tensor/index.js'
import { Batcher } from '../batcher.js'
import { ServingErrors } from '../errors.js'
import type { VersionMetrics } from '../metrics.js'
import type { Backend, BackendFactory } from '../types.js'
import { warmUp } from '../warmup.js'

export interface OpenOptions {
  readonly platform: Platform
  readonly factories: ReadonlyMap<string, BackendFactory>
  readonly warmupInputs: (artifact: VersionArtifact, signature: Signature) => readonly TensorMap[]
  readonly defer: (callback: () => void) => void
  readonly soon: (callback: () => void) => void
  readonly closeTimeoutMs: number
}

/** A version that is loaded and warm. */
export interface Opened {
  readonly backend: Backend
  readonly batcher: Batcher
  readonly loadMs: number
}

/** `tell` hears, from its first run on, why the version cannot answer, and undefined when it can again. */
export async function openVersion(
  artifact: VersionArtifact,
  metrics: VersionMetrics,
  options: OpenOptions,
  tell: (batcher: Batcher, reason: string | undefined) => void,
): Promise<Opened> {
  const { platform, factories, warmupInputs, defer, soon } = options
  const { clock, logger } = platform
  const { ref, manifest } = artifact
  const startedMs = clock.monotonicMs()
  let backend: Backend | undefined
  try {
    const factory = factories.get(artifact.backend)
    if (!factory)
      throw ServingErrors.BACKEND_UNKNOWN({ ...ref, backend: artifact.backend, known: [...factories.keys()] })
    backend = await factory(artifact, { platform })
    // Its runs may hang, and it may itself know that it cannot answer.
    let hangs: string | undefined
    let ails: string | undefined
    const onReadiness = (reason: string | undefined): void => {
      hangs = reason
      tell(batcher, hangs ?? ails)
    }
    const batcher = new Batcher({ version: ref, backend, manifest, clock, logger, metrics, defer, soon, onReadiness })
    backend.onHealth?.((reason) => {
      ails = reason
      tell(batcher, hangs ?? ails)
    })
    const { signature } = backend
    try {
      await warmUp(batcher, signature, warmupInputs(artifact, signature), Deadline.in(clock, manifest.timeoutMs))
    } catch (cause) {
      void batcher.close()
      throw ServingErrors.WARMUP_FAILED({ ...ref, detail: textOf(cause) }, cause)
    }
    return { backend, batcher, loadMs: clock.monotonicMs() - startedMs }
  } catch (cause) {
    if (backend) await closeBackend(backend, ref, options)
    throw cause instanceof HeadraceError ? cause : ServingErrors.LOAD_FAILED({ ...ref, detail: textOf(cause) }, cause)
  }
}

/** Frees a backend, which may take for ever when a run hangs in it. */
export async function closeBackend(
  backend: Backend,
  ref: VersionRef,
  { platform, closeTimeoutMs }: Pick<OpenOptions, 'platform' | 'closeTimeoutMs'>,
): Promise<void> {
  const { clock, logger }: { clock: Platform['clock']; logger: Logger } = platform
  await new Promise<void>((resolve) => {
    const timer = clock.after(closeTimeoutMs, () => {
      logger.warn({ ...ref }, `the backend did not close within ${closeTimeoutMs} ms and is left behind`)
      resolve()
    })
    const done = (cause?: unknown): void => {
      timer.cancel()
      if (cause !== undefined) logger.warn({ err: cause, ...ref }, 'the backend did not close cleanly')
      resolve()
    }
    backend.close().then(() => done(), done)
  })
}

export function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
