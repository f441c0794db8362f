// Releases over the API of a real server.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assignmentPoint } from '../../src/route/assignment.js'
import { type ReleaseServer, startReleaseServer } from '../support/release-server.js'

// Each test has an endpoint of its own on one server.
const rule = (version: number | 'latest' | { alias: string }) => ({ kind: 'version', model: 'rule', version }) as const
const ENDPOINTS = {
  grown: { route: rule(1) },
  broken: { route: rule(1) },
  hung: { route: rule(1), deadlineMs: 120_000 },
  cached: { route: { kind: 'version', model: 'count', version: 1 }, cache: {} },
  backed: { route: { kind: 'fallback', name: 'backed', arms: [{ route: rule(1) }, { route: rule(5) }] } },
  named: {
    route: {
      kind: 'match',
      name: 'who',
      cases: [{ name: 'fixed', when: { unit: ['fixed'] }, route: rule(3) }],
      otherwise: { kind: 'fallback', name: 'safe', arms: [{ route: rule({ alias: 'stable' }) }, { route: rule(3) }] },
    },
  },
  newest: { route: { kind: 'version', model: 'count', version: 'latest' } },
  bystander: { route: rule(1) },
} as const

const patience = { timeout: 60_000 }
let folder: string
let server: ReleaseServer

const open = () => startReleaseServer(folder, { endpoints: ENDPOINTS }, [1, 2, 3, 4, 5, 6])

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
  for (const version of [1, 2]) {
    const at = join(folder, 'models', 'count', String(version))
    mkdirSync(at, { recursive: true })
    writeFileSync(
      join(at, 'model.ts'),
      `import { defineScript } from 'headrace'
let runs = ${version * 1_000}
export default defineScript({ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, row: () => ({ y: ++runs }) })`,
    )
  }
  server = await open()
}, 120_000)
afterAll(async () => {
  await server?.close()
  rmSync(folder, { recursive: true, force: true })
})

const stateOf = async (id: string) => (await server.status(id)).release.state
const leased = (id: string) =>
  expect.poll(async () => (await server.status(id)).nodes[0]?.holdsLease, patience).toBe(true)
/** Units that a release gives its candidate (below the share), baseline and control. */
const unitsOf = (release: string, share: number) => {
  const units = Array.from({ length: 200 }, (_, i) => `unit-${i}`)
  const within = (low: number, high: number) =>
    units.filter((unit) => assignmentPoint(release, unit) >= low && assignmentPoint(release, unit) < high)
  return { candidate: within(0, share), baseline: within(share, 1 - share), control: within(1 - share, 1) }
}

describe('a release', () => {
  it('moves all traffic with the instant plan, keeps it after a restart, and is undone to what was before', async () => {
    expect(await server.predict('a')).toMatchObject({ y: 1 })
    const { status, json } = await server.start({ to: 2, plan: 'instant' })
    expect({ status, json }).toMatchObject({ status: 201, json: { state: 'running', from: 1, to: 2 } })
    await expect.poll(() => stateOf('shop'), patience).toBe('completed')
    expect(await server.predict('a')).toMatchObject({ y: 2, flags: [] })
    // Of the same version, on other endpoints, nothing has changed.
    expect(await server.predict('a', 0, 'bystander')).toMatchObject({ y: 1 })
    const kinds = (await server.status('shop')).events.map(({ kind, by }) => `${kind} by ${by.name}`)
    expect(kinds).toEqual(['release.start by anna', 'release.complete by release'])
    await server.close()

    server = await open()
    expect(await server.predict('a')).toMatchObject({ y: 2 })
    const done = (await server.status('shop')).events.at(-1)!
    // Who asks for it wants to go back: not answered as if that had happened.
    for (const act of ['rollback', 'abort'])
      expect(await server.act(json.id, act)).toMatchObject({
        status: 409,
        json: { code: 'RELEASE_COMPLETED', error: expect.stringContaining(done.decision) },
      })
    const undo = async () =>
      (await fetch(`${server.url}/api/v1/decisions/${done.decision}/undo`, { method: 'POST' })).status
    // Not under the feet of another release.
    const { json: next } = await server.start({ to: 3, plan: '50%/1h,100%', skipGates: true, reason: 'a test' })
    expect(await undo()).toBe(409)
    expect(await server.act(next.id, 'abort')).toMatchObject({ status: 200 })
    expect(await undo()).toBe(200)
    expect(await server.predict('a')).toMatchObject({ y: 1 })
    expect((await server.status(json.id)).release).toMatchObject({ state: 'rolled-back' })
  }, 180_000)

  it('that is completed ends where somebody points the endpoint, and stands again when that is undone', async () => {
    const { json: release } = await server.start({ endpoint: 'bystander', to: 2, plan: 'instant' })
    await expect.poll(() => stateOf(release.id), patience).toBe('completed')
    const send = async (method: string, path: string, body: object) => {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`${server.url}/api/v1${path}`, { method, headers, body: JSON.stringify(body) })
      return (await answer.json()) as { id: string }
    }
    const y = async () => (await server.predict('a', 0, 'bystander')).y
    expect(await y()).toBe(2)
    const point = await send('PUT', '/endpoints/bystander/route', { model: 'rule', version: 1 })
    expect(await y()).toBe(1)
    const undo = await send('POST', `/decisions/${point.id}/undo`, {})
    expect(await y()).toBe(2)
    await send('POST', `/decisions/${undo.id}/undo`, {})
    expect(await y()).toBe(1)
  }, 180_000)

  it('follows another, and moves on what that one left', async () => {
    const release = async (to: number, rest: object = {}) => {
      const { json } = await server.start({ endpoint: 'backed', to, plan: 'instant', ...rest })
      if (json.code !== undefined) return json.code
      await expect.poll(() => stateOf(json.id), patience).not.toBe('running')
      return [json.from, await stateOf(json.id), (await server.predict('a', 0, 'backed')).y]
    }
    expect(await release(2)).toBe('RELEASE_REQUEST_INVALID')
    expect(await release(2, { from: 1 })).toEqual([1, 'completed', 2])
    expect(await release(4, { from: 2 })).toEqual([2, 'completed', 4])
    expect(await release(1, { from: 4 })).toEqual([4, 'completed', 1])
  }, 180_000)

  it('of an alias inside a tree sets the alias, one of latest pins it, and what is beside them stays', async () => {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ version: 1 })
    await fetch(`${server.url}/api/v1/models/rule/aliases/stable`, { method: 'PUT', headers, body })
    const named = await server.start({ endpoint: 'named', to: 2, from: 1, plan: 'instant' })
    expect(named).toMatchObject({ status: 201, json: { selector: '{"alias":"stable"}' } })
    await expect.poll(() => stateOf('named'), patience).toBe('completed')
    expect([(await server.predict('a', 0, 'named')).y, (await server.predict('fixed', 0, 'named')).y]).toEqual([2, 3])
    const alias = await fetch(`${server.url}/api/v1/models/rule`)
    expect(await alias.text()).toContain('"stable"')

    expect((await server.predict('a', 0, 'newest')).y).toBeGreaterThan(2_000)
    expect(await server.start({ endpoint: 'newest', to: 1, plan: 'instant' })).toMatchObject({ status: 201 })
    await expect.poll(() => stateOf('newest'), patience).toBe('completed')
    expect((await server.predict('a', 0, 'newest')).y).toBeLessThan(2_000)
  }, 180_000)

  it('canaries by unit, pauses, is promoted by people, and nobody is moved back while it grows', async () => {
    const { json: release } = await server.start({ endpoint: 'grown', to: 2, plan: 'canary:20%/1h,60%/1h,100%' })
    const units = Array.from({ length: 120 }, (_, i) => `unit-${i}`)
    const served = async () =>
      new Map(await Promise.all(units.map(async (unit) => [unit, (await server.predict(unit, 0, 'grown')).y] as const)))
    await leased('grown')
    const before = await served()
    const first = [...before.values()].filter((y) => y === 2).length
    expect(first).toBe(unitsOf(release.id, 0.2).candidate.filter((unit) => units.includes(unit)).length)
    expect(await server.act(release.id, 'pause')).toMatchObject({ json: { state: 'paused', revision: 2 } })
    expect(await server.act(release.id, 'promote', { revision: 1 })).toMatchObject({
      status: 409,
      json: { code: 'RELEASE_CHANGED_MEANWHILE' },
    })
    expect(await server.act(release.id, 'resume')).toMatchObject({ json: { state: 'running' } })
    expect(await server.act(release.id, 'promote')).toMatchObject({ json: { step: 1 } })
    const after = await served()
    for (const unit of units) if (before.get(unit) === 2) expect(after.get(unit)).toBe(2)
    expect([...after.values()].filter((y) => y === 2).length).toBeGreaterThan(first)
    // At the same moment: one of them is made, and either way it ends as the old version or as the new one for all.
    const both = await Promise.all([
      server.act(release.id, 'promote', { all: true }),
      server.act(release.id, 'rollback', { reason: 'enough' }),
    ])
    const state = await stateOf(release.id)
    expect(['completed', 'rolled-back']).toContain(state)
    expect(both.map(({ status }) => status)).toContain(200)
    expect(new Set((await served()).values())).toEqual(new Set([state === 'completed' ? 2 : 1]))
    expect(await server.act(release.id, 'pause')).toMatchObject({ status: 409, json: { code: 'RELEASE_NOT_ACTIVE' } })
  }, 180_000)

  it('is refused when it makes no sense, and of two at once one is made', async () => {
    const code = async (body: object) => (await server.start(body)).json.code
    expect(await code({ to: 1 })).toBe('RELEASE_ALREADY_LIVE')
    // Version 3 would get everybody's traffic at once, unchecked.
    expect(await code({ to: 2, from: 3 })).toBe('RELEASE_REQUEST_INVALID')
    expect(await code({ to: 9 })).toBe('GATE_VERSION_NOT_FOUND')
    expect(await code({ to: 5 })).toMatch(/NOT_SERVABLE|GATE/)
    expect(await code({ to: 2, plan: 'maybe' })).toBe('RELEASE_PLAN_INVALID')
    expect(await code({ endpoint: 'nowhere', to: 2 })).toBe('PATH_ENDPOINT_NOT_FOUND')
    const both = await Promise.all([server.start({ to: 2 }), server.start({ to: 3 })])
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409])
    await server.act('shop', 'abort')
  }, 180_000)

  it('is rolled back by its guards when the candidate fails, and everybody has the old version at once', async () => {
    const { status: started } = await server.start({ endpoint: 'broken', to: 4, plan: 'canary:50%/1h,100%' })
    expect(started).toBe(201)
    await leased('broken')
    let lastFailed = 0
    let i = 0
    for (; i < 2_000 && (i % 10 !== 9 || (await stateOf('broken')) !== 'rolled-back'); i++) {
      if ((await server.predict(`unit-${i}`, 1, 'broken')).status !== 200) lastFailed = i
      // The guard reads what is in the log, and does not wait for a disk that is slow.
      await server.app.log.flush()
    }
    const { release, guards, events } = await server.status('broken')
    expect(release).toMatchObject({ state: 'rolled-back' })
    expect(release.reason).toContain('guard "errors" failed')
    expect(guards.find(({ report }) => report.guard === 'errors')!.report.candidate).toBeLessThan(60)
    expect(events.at(-1)).toMatchObject({ kind: 'release.rollback', by: { kind: 'rule' } })
    expect(lastFailed).toBeLessThan(i)
    const after = await Promise.all(
      Array.from({ length: 50 }, (_, unit) => server.predict(`unit-${unit}`, 1, 'broken')),
    )
    expect(after.every(({ status, y }) => status === 200 && y === 1)).toBe(true)
  }, 180_000)

  it('is rolled back while calls of its candidate hang: they are answered by the old version, long before their deadline', async () => {
    const { json: release } = await server.start({ endpoint: 'hung', to: 6, plan: 'canary:50%/1h,100%' })
    await leased('hung')
    const { candidate } = unitsOf(release.id, 0.5)
    expect(await server.predict(candidate[0]!, 0, 'hung')).toMatchObject({ y: 6 })
    const hanging = candidate.slice(0, 10).map((unit) => server.predict(unit, 1, 'hung'))
    // Calls of the old version go through meanwhile, so those before them are under way.
    const [someone] = unitsOf(release.id, 0.5).control
    expect(await server.predict(someone!, 1, 'hung')).toMatchObject({ y: 1 })
    expect(await server.act(release.id, 'rollback', { reason: 'it hangs' })).toMatchObject({ status: 200 })
    for (const answer of await Promise.all(hanging)) expect(answer).toMatchObject({ status: 200, y: 1 })
  }, 180_000)

  it('begins with empty caches for candidate and control alone, and lets nobody wait for a call of the other arm', async () => {
    const ask = async (unit: string, x: number) => (await server.predict(unit, x, 'cached')).y!
    const warm = await ask('anybody', 7)
    expect(await ask('somebody', 7)).toBe(warm)
    const { json: release } = await server.start({ endpoint: 'cached', to: 2, plan: 'canary:20%/1h,100%' })
    await leased('cached')
    const { candidate, baseline, control } = unitsOf(release.id, 0.2)
    expect(await ask(baseline[0]!, 7)).toBe(warm)
    const ofControl = await ask(control[0]!, 7)
    expect(ofControl).toBeGreaterThan(warm)
    expect(ofControl).toBeLessThan(2_000)
    expect(await ask(control[1]!, 7)).toBe(ofControl)
    const ofCandidate = await ask(candidate[0]!, 7)
    expect(ofCandidate).toBeGreaterThan(2_000)
    expect(await ask(candidate[1]!, 7)).toBe(ofCandidate)
    // At once, and nobody has it yet: within an arm one call serves both, between arms none does.
    const at = await Promise.all([baseline[0]!, baseline[1]!, control[0]!, control[1]!].map((unit) => ask(unit, 8)))
    expect([at[0] === at[1], at[2] === at[3], at[0] === at[2]]).toEqual([true, true, false])
    await server.act(release.id, 'abort')
    for (const unit of [candidate[0]!, control[0]!]) expect(await ask(unit, 7)).toBe(warm)
  }, 180_000)

  it('is acted on by those who may approve on its endpoint, whether they name it or its id', async () => {
    const { json: release } = await server.start({ to: 2, plan: 'canary:20%/1h,100%' })
    const key = async (name: string, role: string, on?: string[]) =>
      (
        await server.app.services.access.create({ name, role, ...(on && { on }) } as never, {
          kind: 'person',
          name: 'anna',
        })
      ).secret
    await key('admin', 'admin')
    const own = await key('own', 'approver', ['shop'])
    const other = await key('other', 'approver', ['grown'])
    const viewer = await key('viewer', 'viewer', ['shop'])
    const ask = async (secret: string, method: string, path: string) =>
      (
        await fetch(`${server.url}/api/v1/releases${path}`, {
          method,
          headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
          ...(method === 'POST' && { body: '{}' }),
        })
      ).status
    for (const id of [release.id, 'shop'])
      expect([await ask(other, 'POST', `/${id}/rollback`), await ask(viewer, 'POST', `/${id}/rollback`)]).toEqual([
        403, 403,
      ])
    expect([await ask(viewer, 'GET', '/shop'), await ask(other, 'GET', '/shop')]).toEqual([200, 403])
    // Lists show what the caller may see, if it is nothing.
    expect([await ask(viewer, 'GET', '?endpoint=shop'), await ask(viewer, 'GET', '')]).toEqual([200, 200])
    expect([await ask(own, 'POST', `/${release.id}/pause`), await ask(own, 'POST', '/shop/rollback')]).toEqual([
      200, 200,
    ])
  }, 180_000)
})
