import { describe, expect, it } from 'vitest'
import { startReleaseServer } from '../support/release-server.js'
import { tempFolder } from '../support/temp-folder.js'

describe('a release', () => {
  it('moves all traffic with the instant plan, keeps it after a restart, and is undone to what was before', async () => {
    const folder = tempFolder()
    let server = await startReleaseServer(folder)
    expect(await server.predict('a')).toMatchObject({ y: 1 })
    const startedMs = performance.now()
    const { status, json } = await server.start({ to: 2, plan: 'instant' })
    expect({ status, json }).toMatchObject({ status: 201, json: { state: 'running', from: 1, to: 2 } })
    await expect.poll(async () => (await server.status('shop')).release.state, { timeout: 30_000 }).toBe('completed')
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect(await server.predict('a')).toMatchObject({ y: 2, flags: [] })
    const kinds = (await server.status('shop')).events.map(({ kind, by }) => `${kind} by ${by.name}`)
    expect(kinds).toEqual(['release.start by anna', 'release.complete by release'])
    await server.close()

    server = await startReleaseServer(folder)
    expect(await server.predict('a')).toMatchObject({ y: 2 })
    const done = (await server.status('shop')).events.at(-1)!
    await fetch(`${server.url}/api/v1/decisions/${done.decision}/undo`, { method: 'POST' })
    expect(await server.predict('a')).toMatchObject({ y: 1 })
    expect((await server.status('shop')).release).toMatchObject({ state: 'rolled-back' })
    await server.close()
  }, 60_000)

  it('follows another, and moves on what that one left', async () => {
    const server = await startReleaseServer(tempFolder(), {
      endpoints: {
        backed: {
          route: {
            kind: 'fallback',
            name: 'backed',
            arms: [
              { route: { kind: 'version', model: 'rule', version: 1 } },
              { route: { kind: 'version', model: 'rule', version: 5 } },
            ],
          },
        },
      },
    })
    const release = async (to: number, rest: object = {}) => {
      const { json } = await server.start({ endpoint: 'backed', to, plan: 'instant', ...rest })
      if (json.code !== undefined) return json.code
      const state = async () => (await server.status(json.id)).release.state
      await expect.poll(state, { timeout: 30_000 }).not.toBe('running')
      return [json.from, await state(), (await server.predict('a', 0, 'backed')).y]
    }
    expect(await release(2)).toBe('RELEASE_REQUEST_INVALID')
    expect(await release(2, { from: 1 })).toEqual([1, 'completed', 2])
    expect(await release(4, { from: 2 })).toEqual([2, 'completed', 4])
    expect(await release(1, { from: 4 })).toEqual([4, 'completed', 1])
    await server.close()
  }, 60_000)

  it('canaries by unit, pauses, is promoted by people, and nobody is moved back while it grows', async () => {
    const server = await startReleaseServer(tempFolder())
    const { json: release } = await server.start({ to: 2, plan: 'canary:20%/1h,60%/1h,100%' })
    const units = Array.from({ length: 120 }, (_, i) => `unit-${i}`)
    const served = async () =>
      new Map(await Promise.all(units.map(async (unit) => [unit, (await server.predict(unit)).y] as const)))
    await expect.poll(async () => (await server.status('shop')).nodes[0]?.holdsLease, { timeout: 30_000 }).toBe(true)
    const before = await served()
    const first = [...before.values()].filter((y) => y === 2).length
    expect(first).toBeGreaterThan(8)
    expect(first).toBeLessThan(45)
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
    expect(await server.act(release.id, 'abort', { reason: 'enough' })).toMatchObject({
      json: { state: 'aborted', reason: 'enough' },
    })
    expect(new Set((await served()).values())).toEqual(new Set([1]))
    expect(await server.act(release.id, 'pause')).toMatchObject({ status: 409, json: { code: 'RELEASE_NOT_ACTIVE' } })
    await server.close()
  }, 60_000)

  it('is refused when it makes no sense, and of two at once one is made', async () => {
    const server = await startReleaseServer(tempFolder())
    const code = async (body: object) => (await server.start(body)).json.code
    expect(await code({ to: 1 })).toBe('RELEASE_ALREADY_LIVE')
    expect(await code({ to: 9 })).toMatch(/NOT_SERVABLE|GATE/)
    expect(await code({ to: 5 })).toMatch(/NOT_SERVABLE|GATE/)
    expect(await code({ to: 2, plan: 'maybe' })).toBe('RELEASE_PLAN_INVALID')
    expect(await code({ endpoint: 'nowhere', to: 2 })).toBe('PATH_ENDPOINT_NOT_FOUND')
    const both = await Promise.all([server.start({ to: 2 }), server.start({ to: 3 })])
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409])
    await server.close()
  }, 60_000)

  it('is rolled back by its guards when the candidate fails, and everybody has the old version at once', async () => {
    const server = await startReleaseServer(tempFolder())
    const { status: started } = await server.start({ to: 4, plan: 'canary:50%/1h,100%' })
    expect(started).toBe(201)
    await expect.poll(async () => (await server.status('shop')).nodes[0]?.holdsLease, { timeout: 30_000 }).toBe(true)
    let lastFailedMs = 0
    let rolledBackMs = 0
    for (let i = 0; i < 400 && rolledBackMs === 0; i++) {
      const { status } = await server.predict(`unit-${i}`, 1)
      if (status !== 200) lastFailedMs = performance.now()
      if (i % 10 === 9 && (await server.status('shop')).release.state === 'rolled-back')
        rolledBackMs = performance.now()
    }
    expect(rolledBackMs).toBeGreaterThan(0)
    const { release, guards, events } = await server.status('shop')
    expect(release.reason).toContain('guard "errors" failed')
    expect(guards.find(({ report }) => report.guard === 'errors')!.report.candidate).toBeLessThan(30)
    expect(events.at(-1)).toMatchObject({ kind: 'release.rollback', by: { kind: 'rule' } })
    expect(lastFailedMs).toBeLessThan(rolledBackMs)
    const after = await Promise.all(Array.from({ length: 50 }, (_, i) => server.predict(`unit-${i}`, 1)))
    expect(after.every(({ status, y }) => status === 200 && y === 1)).toBe(true)
    await server.close()
  }, 60_000)
})
