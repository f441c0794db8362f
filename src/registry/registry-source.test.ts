import { describe, expect, it } from 'vitest'
import { type Digest, type ModelName, type VersionRef, versionKey } from '../core/index.js'
import type { LocalVersions } from './local-versions.js'
import { createRegistrySource } from './registry-source.js'
import type { ServableVersion } from './service.js'

const ref = (version: number): VersionRef => ({ model: 'fraud' as ModelName, version })
const servable = (version: number): ServableVersion => ({
  ref: ref(version),
  digest: `sha256:${String(version).padStart(64, '0')}` as Digest,
  served: [],
  manifest: null,
})

describe('createRegistrySource', () => {
  function make(...versions: number[]) {
    const registered = new Map(versions.map((version) => [versionKey(ref(version)), servable(version)]))
    const followers = new Set<() => void>()
    const source = createRegistrySource({
      local: {} as LocalVersions,
      registered: () => registered,
      follow(change) {
        followers.add(change)
        return () => followers.delete(change)
      },
    })
    const events: string[] = []
    const watch = () => source.watch((event) => events.push(`${event.kind} ${versionKey(event.ref)}`))
    return {
      source,
      events,
      watch,
      add: (version: number) => registered.set(versionKey(ref(version)), servable(version)),
      remove: (version: number) => registered.delete(versionKey(ref(version))),
      tell: () => {
        for (const follower of followers) follower()
      },
    }
  }

  it('reports what comes and goes, also when somebody lists the versions before it is told', async () => {
    const { source, events, watch, add, remove, tell } = make(1, 2)
    await source.list()
    watch()
    add(3)
    remove(1)
    expect(await source.list()).toEqual([ref(2), ref(3)])
    tell()
    expect(events).toEqual(['removed fraud/1', 'added fraud/3'])
    tell()
    expect(events).toHaveLength(2)
  })

  it('reports what came between the list and the watch, and nothing after the watch has ended', async () => {
    const { source, events, watch, add, tell } = make(1)
    await source.list()
    add(2)
    const stop = watch()
    expect(events).toEqual(['added fraud/2'])
    stop()
    add(3)
    tell()
    expect(events).toHaveLength(1)
  })
})
