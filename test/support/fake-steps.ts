// Versions for a pipeline without a pool: leaves that compute at virtual times, as a test says.
import type { ModelName, VersionRef } from '../../src/core/index.js'
import { versionKey } from '../../src/core/index.js'
import type { Deadline } from '../../src/flow/index.js'
import type {
  Leaf,
  LeafInput,
  LeafResult,
  Pool,
  ServedVersion,
  VersionState,
  VersionStatus,
} from '../../src/serving/index.js'
import type { PipelineModel, Signature, TensorMap } from '../../src/tensor/index.js'
import { fakeManifest } from './fake-backend.js'

export interface FakeStep {
  readonly signature: Signature
  /** May throw. */
  readonly compute: (inputs: TensorMap, input: LeafInput) => TensorMap | Promise<TensorMap>
  readonly digest?: string
}

export interface SeenCall {
  readonly key: string
  readonly input: LeafInput
  readonly deadline: Deadline
}

/** What a pipeline asks of a pool, with versions that are put in and taken out by hand. */
export class FakeStepPool implements Pick<Pool, 'get' | 'status' | 'wake' | 'watch' | 'dropCancelled'> {
  readonly calls: SeenCall[] = []
  readonly woken: string[] = []
  drops = 0
  readonly #served = new Map<string, ServedVersion>()
  readonly #states = new Map<string, VersionStatus>()
  readonly #watchers = new Set<(status: VersionStatus) => void>()

  get watchers(): number {
    return this.#watchers.size
  }

  put(ref: VersionRef, { signature, compute, digest = 'sha256:1' }: FakeStep, state: VersionState = 'ready'): void {
    const key = versionKey(ref)
    const call = async (input: LeafInput, deadline: Deadline): Promise<LeafResult> => {
      this.calls.push({ key, input, deadline })
      const outputs = await compute(input.tensors, input)
      const names = input.outputs ?? signature.outputs.map(({ name }) => name)
      return {
        outputs: new Map(names.map((name) => [name, outputs.get(name)!])),
        queueMs: 0,
        computeMs: 0,
        batchRows: input.rows,
      }
    }
    const leaf: Leaf = { version: ref, call }
    const manifest = fakeManifest()
    this.#served.set(key, {
      ref,
      key,
      digest,
      kind: 'fake',
      signature,
      manifest,
      labels: undefined,
      isolation: 'thread',
      leaf,
    })
    this.change(ref, state)
  }

  change(ref: VersionRef, state: VersionState, reason?: string): void {
    const status: VersionStatus = { ref, state, reason, error: undefined }
    if (state === 'unloaded') {
      this.#states.delete(versionKey(ref))
      this.#served.delete(versionKey(ref))
    } else this.#states.set(versionKey(ref), status)
    for (const watcher of [...this.#watchers]) watcher(status)
  }

  get(ref: VersionRef): ServedVersion | undefined {
    const state = this.#states.get(versionKey(ref))?.state
    return state === 'ready' || state === 'unready' ? this.#served.get(versionKey(ref)) : undefined
  }

  status(ref: VersionRef): VersionStatus | undefined {
    return this.#states.get(versionKey(ref))
  }

  wake({
    model,
    version,
  }: {
    readonly model: ModelName
    readonly version: number | 'latest'
  }): Promise<void> | undefined {
    const ref = { model, version: Number(version) }
    if (this.status(ref)?.state !== 'resting') return undefined
    this.woken.push(versionKey(ref))
    return Promise.resolve().then(() => this.change(ref, 'ready'))
  }

  watch(change: (status: VersionStatus) => void): () => void {
    this.#watchers.add(change)
    return () => void this.#watchers.delete(change)
  }

  dropCancelled(): void {
    this.drops++
  }
}

/** A pipeline from pairs of names: `inputs: { x: 'image' }`, `outputs: { y: 'embed.vector' }`. */
export function pipelineOf(parts: {
  readonly inputs?: PipelineModel['inputs']
  readonly steps: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly outputs: Readonly<Record<string, string>>
}): PipelineModel {
  const sourceOf = (from: string) => {
    const [step, tensor] = from.split('.')
    return tensor === undefined ? { step: undefined, tensor: step! } : { step: step!, tensor }
  }
  return {
    inputs: parts.inputs,
    steps: Object.entries(parts.steps).map(([name, inputs]) => ({
      name,
      model: name as ModelName,
      version: 1,
      inputs: new Map(Object.entries(inputs).map(([input, from]) => [input, sourceOf(from)])),
    })),
    outputs: new Map(
      Object.entries(parts.outputs).map(([name, from]) => [name, sourceOf(from) as { step: string; tensor: string }]),
    ),
  }
}
