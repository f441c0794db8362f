// Loads versions into child processes and owns those: a process for each group, or one for each instance.
import { type Platform, versionKey } from '../../core/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import type { Backend, BackendOptions } from '../types.js'
import { ModelProcessErrors } from './errors.js'
import type { Hosted } from './hosted.js'
import type { ProcessOnnxOptions } from './messages.js'
import { createProcessMetrics, type GroupMetrics, type ProcessMetrics } from './metrics.js'
import { ProcessEnded } from './model-process.js'
import { Place } from './place.js'
import { ProcessBackend } from './process-backend.js'

export interface ProcessBackendsOptions {
  /** How the ONNX backend works in each process. */
  readonly onnx?: ProcessOnnxOptions
  /** A load that takes longer ends its process; default 300,000. */
  readonly loadTimeoutMs?: number
  /** The processes' program; another one only in tests. */
  readonly program?: URL
}

export interface ProcessBackends {
  /** A BackendFactory for onnx and script versions. Rejects with the MODEL_PROCESS_ codes of errors.ts and with those of the backend. */
  load(artifact: VersionArtifact, options: BackendOptions): Promise<Backend>
  /** For drills: kills a process with this model, or version of it. False when there is none. */
  kill(model: string, version: number | undefined): boolean
  /** Ends every process; what runs in them is given up. */
  close(): Promise<void>
}

/** The processes of one group, by the number of the instance. */
interface Group {
  readonly places: Map<number, Place>
  readonly metrics: GroupMetrics
}

const LOAD_TIMEOUT_MS = 300_000
const SUPPORTED = ['onnx', 'script']

/** Starts no process before the first load. */
export function createProcessBackends(options: ProcessBackendsOptions = {}): ProcessBackends {
  const { onnx = {}, loadTimeoutMs = LOAD_TIMEOUT_MS, program } = options
  const groups = new Map<string, Group>()
  const open = new Map<ProcessBackend, { readonly artifact: VersionArtifact; readonly hosted: readonly Hosted[] }>()
  let metrics: ProcessMetrics | undefined
  let isClosed = false

  function placeOf(name: string, instance: number, platform: Platform): Place {
    metrics ??= createProcessMetrics(platform.metrics)
    const group = groups.get(name) ?? { places: new Map<number, Place>(), metrics: metrics.bind(name) }
    groups.set(name, group)
    const { places } = group
    const found = places.get(instance)
    if (found) return found
    const place: Place = new Place({
      group: name,
      platform,
      onnx,
      program,
      loadTimeoutMs,
      onRestart: () => group.metrics.restarted(),
      onChange() {
        let rssBytes = 0
        let isUp = true
        for (const other of places.values()) {
          rssBytes += other.rssBytes
          isUp &&= other.isUp
        }
        group.metrics.up(isUp)
        group.metrics.rss(rssBytes)
      },
      onEmpty() {
        places.delete(instance)
        if (places.size > 0) return
        groups.delete(name)
        metrics!.forget(name)
      },
    })
    places.set(instance, place)
    return place
  }

  async function load(artifact: VersionArtifact, { platform }: BackendOptions): Promise<Backend> {
    const { ref, manifest, backend: kind, sizeBytes } = artifact
    const model = versionKey(ref)
    const { group = ref.model, instances = 1, timeoutMs } = manifest
    if (!SUPPORTED.includes(kind)) throw ModelProcessErrors.BACKEND_UNSUPPORTED({ model, backend: kind })
    if (isClosed) throw ModelProcessErrors.CLOSED({ model })
    const loads = await Promise.allSettled(
      Array.from({ length: instances }, (_, i) => placeOf(group, i, platform).load({ artifact })),
    )
    const hosted = loads.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const failed = loads.find((result) => result.status === 'rejected')
    if (failed !== undefined) {
      await Promise.all(hosted.map((one) => one.place.release(one)))
      if (failed.reason instanceof ProcessEnded)
        throw ModelProcessErrors.LOAD_ENDED({ model, group, reason: failed.reason.message })
      throw failed.reason
    }
    const onClosed = () => void open.delete(backend)
    const backend: ProcessBackend = new ProcessBackend({ model, group, hosted, timeoutMs, sizeBytes, onClosed })
    open.set(backend, { artifact, hosted })
    return backend
  }

  return {
    load,
    kill(model, version) {
      for (const { artifact, hosted } of open.values()) {
        const { ref } = artifact
        if (ref.model !== model || (version !== undefined && ref.version !== version)) continue
        if (hosted.some(({ place }) => place.kill('it was killed by a drill'))) return true
      }
      return false
    },
    async close() {
      isClosed = true
      const places = [...groups.values()].flatMap((group) => [...group.places.values()])
      await Promise.all(places.map((place) => place.close()))
    },
  }
}
