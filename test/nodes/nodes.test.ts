// Several servers on one PostgreSQL, which is taken away and given back.
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { loadProject, openEngines } from '../../src/app/index.js'
import { createPlatform, type Digest, type ModelName, type Platform, systemClock } from '../../src/core/index.js'
import type { Actor, Decision } from '../../src/decisions/index.js'
import { call } from '../support/http.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../support/postgres.js'
import { startTestServer, type TestServer } from '../support/start-server.js'
import { tempFolder } from '../support/temp-folder.js'

const missing = postgresMissing()
const by: Actor = { kind: 'person', name: 'test' }
const ref = (version: number) => ({ model: 'fraud' as ModelName, version })
const digest = (version: number) => `sha256:${String(version).padStart(64, '0')}` as Digest
const alias = (version: number) => ({
  kind: 'alias.set',
  subject: 'fraud@candidate',
  detail: { model: 'fraud', alias: 'candidate', version },
})
const FEATURES = `
import { column, defineEntity, defineFeatureService, defineFeatureView, fileSource } from 'headrace'
const user = defineEntity('user', { keys: { user_id: 'string' } })
const country = defineFeatureView('country', {
  entities: [user],
  source: fileSource('profiles', { path: 'profiles.csv', eventTime: 'changed' }),
  features: { country: column('string', { default: '??' }) },
})
export default [defineFeatureService('users', [country])]
`
const patience = { timeout: 30_000 }

describe.skipIf(missing)(`several nodes${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let postgres: TestPostgres
  beforeAll(async () => {
    postgres = await startPostgres()
  }, 60_000)
  afterAll(() => postgres?.stop())

  async function node(url: string, folder = tempFolder(), platform: Platform = createPlatform()) {
    const project = await loadProject(join(import.meta.dirname, '../../examples/shop/models'), {
      environment: { DATABASE_URL: url, HEADRACE_STORE_DATA_DIR: join(folder, 'data') },
    })
    const engines = await openEngines(project, platform)
    const followed: number[] = []
    engines.follow(({ number }: Decision) => void followed.push(number))
    let isClosed = false
    const close = async () => {
      if (!isClosed) await engines.close()
      isClosed = true
    }
    onTestFinished(close)
    const aliasOf = () => engines.registry().aliases.find((one) => one.alias === 'candidate')?.version
    return { engines, followed, aliasOf, close, folder }
  }

  it('take what each of them decides into effect in order and once, and report themselves', async () => {
    const url = await postgres.schema()
    const [one, two] = await Promise.all([node(url), node(url)])
    for (let version = 1; version <= 5; version++)
      await one.engines.sawVersion({ ref: ref(version), digest: digest(version), sizeBytes: 1 }, 'a file')
    // Who decides sees others' decisions first: versions that only the other node has seen can be named.
    await two.engines.decide(alias(1), {}, by)
    await Promise.all(
      [1, 2, 3, 4, 5].map((version) => (version % 2 ? one : two).engines.decide(alias(version), {}, by)),
    )
    const last = (await one.engines.decisions.list({ limit: 1 }))[0]!
    expect(last.number).toBe(11)
    for (const { followed, aliasOf } of [one, two]) {
      await expect.poll(() => followed, patience).toEqual(Array.from({ length: 11 }, (_, i) => i + 1))
      expect(aliasOf()).toBe(last.change.detail['version'])
    }
    expect(two.engines.registry().digests.get('fraud/5')).toBe(digest(5))

    one.engines.report('url', () => 'http://one')
    const list = async () =>
      (await two.engines.services.nodes.list()).map(({ id, url: at, decision, isSelf, isGone }) => ({
        id,
        at,
        decision,
        isSelf,
        isGone,
      }))
    const expected = [
      { id: one.engines.nodeId, at: 'http://one', decision: 11, isSelf: false, isGone: false },
      { id: two.engines.nodeId, at: null, decision: 11, isSelf: true, isGone: false },
    ].sort((a, b) => (a.id < b.id ? -1 : 1))
    await expect.poll(list, patience).toEqual(expected)
    await one.close()
    expect(await list()).toEqual(expected.filter(({ isSelf }) => isSelf))
  }, 60_000)

  it('serve on while the store is away, refuse changes at once, and converge when it is back', async () => {
    const server = await startPostgres()
    onTestFinished(() => server.stop())
    const [one, two] = await Promise.all([node(server.url), node(server.url)])
    await one.engines.sawVersion({ ref: ref(1), digest: digest(1), sizeBytes: 1 }, 'a file')
    await one.engines.decide(alias(1), {}, by)
    await expect.poll(two.aliasOf, patience).toBe(1)
    const copy = join(two.folder, 'data', 'metadata-copy.json')
    await expect.poll(() => existsSync(copy), patience).toBe(true)
    const confirmedMs = two.engines.storeConfirmedMs()
    await expect.poll(() => two.engines.storeConfirmedMs(), patience).toBeGreaterThan(confirmedMs)

    await server.kill()
    const askedMs = performance.now()
    await expect(two.engines.decide(alias(1), {}, by)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retry: true })
    expect(performance.now() - askedMs).toBeLessThan(15_000)
    expect(two.engines.storeConfirmedMs()).toBeLessThan(askedMs)
    expect(two.aliasOf()).toBe(1)

    // A node that starts meanwhile knows what it knew, and promises nothing that a lease could be built on.
    await two.close()
    const started = await node(server.url, two.folder)
    expect(started.aliasOf()).toBe(1)
    expect(started.engines.registry().digests.get('fraud/1')).toBe(digest(1))
    expect(started.engines.storeConfirmedMs()).toBe(Number.NEGATIVE_INFINITY)
    await expect(started.engines.services.nodes.list()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await expect(node(server.url)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })

    await server.start()
    await expect
      .poll(
        () =>
          one.engines
            .decide({ ...alias(1), subject: 'fraud@stable', detail: { ...alias(1).detail, alias: 'stable' } }, {}, by)
            .then(
              () => true,
              () => false,
            ),
        patience,
      )
      .toBe(true)
    await expect
      .poll(
        () =>
          started.engines
            .registry()
            .aliases.map((one) => one.alias)
            .sort(),
        patience,
      )
      .toEqual(['candidate', 'stable'])
    await expect.poll(() => started.engines.storeConfirmedMs(), patience).toBeGreaterThan(0)
  }, 120_000)

  it('say so when the data folder of one was copied for another, and follow each other with clocks an hour apart', async () => {
    const url = await postgres.schema()
    const [folder, copied] = [tempFolder(), tempFolder()]
    mkdirSync(join(copied, 'data'))
    const first = await node(url, folder)
    copyFileSync(join(folder, 'data', 'node-id'), join(copied, 'data', 'node-id'))
    const skewed = { ...systemClock, nowMs: () => systemClock.nowMs() + 3_600_000 }
    const platform = createPlatform({ clock: skewed })
    const second = await node(url, copied, platform)
    expect(second.engines.nodeId).toBe(first.engines.nodeId)
    await expect.poll(() => platform.metrics.expose(), patience).toContain('headrace_node_id_shared 1')
    expect(await platform.metrics.expose()).toMatch(/headrace_node_store_age_seconds [0-9.e-]+\n/)

    const third = await node(url)
    await second.engines.sawVersion({ ref: ref(1), digest: digest(1), sizeBytes: 1 }, 'a file')
    await second.engines.decide(alias(1), {}, by)
    await expect.poll(third.aliasOf, patience).toBe(1)
    const list = await third.engines.services.nodes.list()
    expect(list.map(({ isGone }) => isGone)).toEqual([false, false])
    for (const { startedMs } of list) expect(Math.abs(startedMs - systemClock.nowMs())).toBeLessThan(600_000)
  }, 90_000)

  it('follow what is there when the store has lost its last decisions', async () => {
    const url = await postgres.schema()
    const { engines, aliasOf } = await node(url)
    for (const version of [1, 2])
      await engines.sawVersion({ ref: ref(version), digest: digest(version), sizeBytes: 1 }, 'a file')
    const kept = await engines.decide(alias(1), {}, by)
    await engines.decide(alias(2), {}, by)
    expect(aliasOf()).toBe(2)
    const client = new Client(url)
    await client.connect()
    onTestFinished(() => client.end())
    await client.query('begin')
    await client.query('delete from decisions where number > $1', [kept.number])
    await client.query('update decision_head set number = $1, hash = $2', [kept.number, kept.hash])
    await client.query(`update registry_aliases set version = 1 where alias = 'candidate'`)
    await client.query('commit')
    await expect.poll(aliasOf, patience).toBe(1)
    const next = await engines.decide(alias(2), {}, by)
    expect(next.number).toBe(kept.number + 1)
    expect(aliasOf()).toBe(2)
  }, 60_000)

  it('become ready and answer when they start while the store is away, features too', async () => {
    const server = await startPostgres()
    onTestFinished(() => server.stop())
    const folder = tempFolder()
    mkdirSync(join(folder, 'features'))
    writeFileSync(join(folder, 'headrace.config.mjs'), 'export default {}')
    writeFileSync(join(folder, 'features', 'features.ts'), FEATURES)
    writeFileSync(join(folder, 'profiles.csv'), 'user_id,country,changed\nu1,DE,2026-01-01T00:00:00Z\n')
    const config = { store: { databaseUrl: server.url } }
    const country = async ({ url }: TestServer) => {
      const { json } = await call(`${url}/api/v1/features/online`, 'POST', {
        service: 'users',
        entities: [{ user_id: 'u1' }],
      })
      return JSON.stringify(json)
    }
    const first = await startTestServer({ folder, models: ['fraud'], config })
    await expect.poll(() => country(first), patience).toContain('"DE"')
    await first.close()
    await server.kill()

    const second = await startTestServer({ folder, models: ['fraud'], config })
    onTestFinished(() => second.close())
    expect((await fetch(`${second.url}/readyz`)).status).toBe(200)
    const response = await fetch(`${second.url}/v2/models/fraud`)
    expect(response.status).toBe(200)
    expect(await country(second)).toContain('"DE"')
    await server.start()
    const status = () => call(`${second.url}/api/v1/features/status`, 'GET')
    await expect.poll(async () => (await status()).status, patience).toBe(200)
    expect((await status()).json.views).toMatchObject([{ view: 'country', live: expect.any(String) }])
  }, 120_000)
})
