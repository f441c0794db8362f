// Backends that are slow, fail or hang when a fault says so.
import type { Platform } from '../../core/index.js'
import type { Backend, BackendFactory, RunContext } from '../../serving/index.js'
import type { TensorMap } from '../../tensor/index.js'
import type { Faults } from './faults.js'

/** Wraps what a factory loads. `mayHang` is false for what a version is moved to because it hangs. */
export function faultyBackends(
  load: BackendFactory,
  faults: Faults,
  { clock, random }: Platform,
  mayHang = true,
): BackendFactory {
  const pause = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve))
  return async (artifact, options) => {
    const backend = await load(artifact, options)
    const { model, version } = artifact.ref
    // Everything else is the backend's own, whatever it grows.
    return new Proxy(backend, {
      get(target, name) {
        if (name === 'run') return run
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })

    async function run(batch: TensorMap, context: RunContext): ReturnType<Backend['run']> {
      const hang = mayHang ? faults.find('hang', model, version) : undefined
      if (hang !== undefined) await faults.healed(hang.id)
      const delay = faults.find('delay', model, version)
      if (delay !== undefined) await Promise.race([faults.healed(delay.id), pause(delay.fault.ms)])
      const error = faults.find('error', model, version)
      if (error !== undefined && random.next() < error.fault.rate)
        throw new Error(`the chaos fault ${error.id} fails this run`)
      return backend.run(batch, context)
    }
  }
}
