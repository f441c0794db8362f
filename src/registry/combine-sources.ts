// The models folder and the registry as one source. Their numbers do not meet: a push takes one that neither has. Where a folder of
// such a number appears later, the registered version stays what it is.
import { type Platform, type VersionRef, versionKey } from '../core/index.js'
import type { RegistrySource } from './registry-source.js'
import type { ModelSource } from './types.js'

export function combineSources(
  own: ModelSource,
  registry: RegistrySource,
  { logger }: Pick<Platform, 'logger'>,
): ModelSource {
  const warned = new Set<string>()

  function hide(ref: VersionRef): void {
    const key = versionKey(ref)
    if (warned.has(key)) return
    warned.add(key)
    logger.warn({ ...ref }, 'a version of the models folder is not served: its number is that of a registered one')
  }

  return {
    settle: () => own.settle(),
    async list() {
      const found = await own.list()
      for (const ref of found) if (registry.has(ref)) hide(ref)
      const refs = [...found.filter((ref) => !registry.has(ref)), ...(await registry.list())]
      return refs.sort((a, b) => (a.model < b.model ? -1 : a.model > b.model ? 1 : a.version - b.version))
    },
    get: (ref) => (registry.has(ref) ? registry.get(ref) : own.get(ref)),
    watch(change) {
      const stopOwn = own.watch((event) => {
        if (registry.has(event.ref)) hide(event.ref)
        else change(event)
      })
      const stopRegistry = registry.watch(change)
      return () => {
        stopOwn()
        stopRegistry()
      }
    },
  }
}
