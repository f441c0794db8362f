// The versions that a pipeline is made of, as the pool has them: waited for at load, followed while it is served.
import { type Clock, type Stop, type VersionRef, versionKey } from '../../core/index.js'
import type { PipelineModel } from '../../tensor/index.js'
import type { Leaf, Pool, ServedVersion, VersionStatus } from '../types.js'
import { PipelineErrors } from './errors.js'
import { stepTitle } from './plan.js'

export type StepPool = Pick<Pool, 'get' | 'status' | 'wake' | 'watch' | 'dropCancelled'>

/**
 * How long a load waits for versions that are on their way. Bounded, because loads may be queued behind it: later it is tried again
 * when they are there.
 */
const WAIT_MS = 3000
const RETRY_AFTER_MS = 1000

interface Step {
  readonly ref: VersionRef
  readonly key: string
  readonly title: string
  /** Of the content that the plan was made for. */
  digest: string | undefined
}

export class StepVersions {
  readonly #steps: readonly Step[]
  #stop: Stop | undefined

  constructor(
    private readonly model: string,
    pipeline: PipelineModel,
    private readonly pool: StepPool,
    private readonly clock: Clock,
  ) {
    this.#steps = pipeline.steps.map(({ name, model, version }) => ({
      ref: { model, version },
      key: versionKey({ model, version }),
      title: stepTitle(name, { model, version }),
      digest: undefined,
    }))
  }

  /** Resolves with the steps' versions when all of them are there. Rejects with PIPELINE_STEPS_UNREADY. */
  async ready(): Promise<readonly ServedVersion[]> {
    // What rests is loaded; how that ends is seen from its state.
    for (const { ref } of this.#steps) this.pool.wake(ref)?.catch(() => undefined)
    await new Promise<void>((resolve) => {
      const timer = this.clock.after(WAIT_MS, () => done())
      const stop = this.pool.watch(({ ref, state }) => {
        if (state === 'resting' && this.#has(ref)) this.pool.wake(ref)?.catch(() => undefined)
        check()
      })
      const done = (): void => {
        timer.cancel()
        stop()
        resolve()
      }
      const check = (): void => {
        const missing = this.#steps.filter(({ ref }) => this.pool.get(ref) === undefined)
        if (missing.length === 0 || missing.some(({ ref }) => this.pool.status(ref)?.state === 'failed')) done()
      }
      check()
    })
    const found = this.#steps.map(({ ref }) => this.pool.get(ref))
    if (found.includes(undefined)) throw this.#unready()
    const versions = found as ServedVersion[]
    for (const [i, { digest }] of versions.entries()) this.#steps[i]!.digest = digest
    return versions
  }

  /** By step; those whose number of steps to wait for is -1 do not run. Throws PIPELINE_STEPS_UNREADY. */
  leaves(waits: readonly number[]): (Leaf | undefined)[] {
    const leaves: (Leaf | undefined)[] = new Array(this.#steps.length)
    for (let i = 0; i < leaves.length; i++) {
      if (waits[i] === -1) continue
      const { ref, digest } = this.#steps[i]!
      const served = this.pool.get(ref)
      if (served === undefined || served.digest !== digest) throw this.#unready()
      leaves[i] = served.leaf
    }
    return leaves
  }

  /** Tells at every change in the pool why a run would fail, or undefined. */
  onHealth(listener: (reason: string | undefined) => void): void {
    this.#stop?.()
    this.#stop = this.pool.watch((status: VersionStatus) => {
      // Its own changes too: a step may have gone while it was being loaded.
      if (this.#has(status.ref) || versionKey(status.ref) === this.model) listener(this.#missing()[0]?.why)
    })
  }

  close(): void {
    this.#stop?.()
  }

  #has(ref: VersionRef): boolean {
    const key = versionKey(ref)
    return this.#steps.some((step) => step.key === key)
  }

  #missing(): { readonly key: string; readonly why: string }[] {
    return this.#steps.flatMap(({ ref, key, title, digest }) => {
      const status = this.pool.status(ref)
      const served = this.pool.get(ref)
      if (served !== undefined && digest !== undefined && served.digest !== digest)
        return { key, why: `${title}, which is another model by now: publish the pipeline as a new version` }
      if (status === undefined) return { key, why: `${title}, which is not there` }
      if (status.state === 'ready' || (status.state === 'resting' && served !== undefined)) return []
      return {
        key,
        why: `${title}, which is ${status.state}${status.reason === undefined ? '' : `: ${status.reason}`}`,
      }
    })
  }

  #unready(): Error {
    const missing = this.#missing()
    return PipelineErrors.STEPS_UNREADY({
      model: this.model,
      steps: missing.map(({ why }) => why.replace(/\.$/, '')),
      waitsFor: missing.map(({ key }) => key),
      retryAfterMs: RETRY_AFTER_MS,
    })
  }
}
