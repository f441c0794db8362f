import { describe, expect, it } from 'vitest'
import { doublerInput, FakeBackend, fakeManifest, settled } from '../../test/support/fake-backend.js'
import { type EndpointName, ManualClock, type ModelName, testPlatform } from '../core/index.js'
import type { Change } from '../decisions/index.js'
import { Deadline } from '../flow/index.js'
import { type CachePolicy, createPool } from '../serving/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import { createAnswerCache, followSwitches } from './answer-cache.js'
import type { Engines } from './engines.js'
import { projectSchema } from './project.js'

const endpoint = 'ranking' as EndpointName
const POLICY: CachePolicy = { endpoint, key: 'tensors', ttlMs: 60_000, scope: 'shared', staleMs: 0 }

async function setUp() {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const config = projectSchema.parse({ serving: { cache: { switchOffMinRequests: 50, switchOffWindowMs: 1000 } } })
  const decided: { change: Change; evidence: unknown; by: unknown }[] = []
  const cacheSwitches = new Map<EndpointName, boolean>()
  const engines = {
    registry: () => ({ digests: new Map(), aliases: [], pointers: new Map(), cacheSwitches }),
    async decide(change: Change, evidence: unknown, by: unknown) {
      decided.push({ change, evidence, by })
      cacheSwitches.set(change.subject as EndpointName, change.detail['enabled'] === true)
      followSwitches(cache, engines)
    },
  } as unknown as Engines
  const cache = await createAnswerCache(config, undefined, engines, platform)
  const backend = new FakeBackend({ clock, runMs: 0 })
  const pool = createPool({ platform, cache, factories: new Map([['fake', async () => backend]]) })
  const ref = { model: 'm' as ModelName, version: 1 }
  const digest = `sha256:${'0'.repeat(64)}` as VersionArtifact['digest']
  await pool.load({ ref, backend: 'fake', digest, file: 'm', sizeBytes: 1, manifest: fakeManifest() })
  const ask = (number: number) =>
    pool.get(ref)!.leaf.call({ ...doublerInput([[number]]), cache: POLICY }, Deadline.none(clock))
  return { clock, cache, decided, cacheSwitches, engines, ask }
}

describe('the cache of an app', () => {
  it('is switched off by a decision of a rule, with evidence, when an endpoint’s requests do not repeat', async () => {
    const { clock, cache, decided, ask } = await setUp()
    for (let i = 0; i < 60; i++) await ask(i)
    clock.advance(1000)
    await ask(1000)
    await settled()
    expect(decided).toEqual([
      {
        change: { kind: 'cache.switch', subject: 'ranking', detail: { enabled: false } },
        evidence: { hitRate: 0, requests: 61, windowMs: 1000, leastHitRate: 0.05 },
        by: { kind: 'rule', name: 'cache-hit-rate' },
      },
    ])
    expect(cache.isOn(endpoint)).toBe(false)
  })

  it('is on again when the decision is undone, and is not switched off a moment later', async () => {
    const { clock, cache, decided, cacheSwitches, engines, ask } = await setUp()
    cacheSwitches.set(endpoint, false)
    followSwitches(cache, engines)
    expect(cache.isOn(endpoint)).toBe(false)
    cacheSwitches.delete(endpoint)
    followSwitches(cache, engines)
    expect(cache.isOn(endpoint)).toBe(true)
    for (let i = 0; i < 60; i++) await ask(i)
    clock.advance(1000)
    await ask(1000)
    expect(decided).toEqual([])
    expect((await ask(1000)).cached).toBe('hit')
  })
})
