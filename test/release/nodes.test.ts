// Two nodes on one PostgreSQL, which is taken away in the middle of a release.
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { postgresMissing, startPostgres, type TestPostgres } from '../support/postgres.js'
import { startReleaseServer } from '../support/release-server.js'
import { tempFolder } from '../support/temp-folder.js'

const missing = postgresMissing()
const patience = { timeout: 45_000, interval: 100 }

describe.skipIf(missing)(`releases on several nodes${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let postgres: TestPostgres
  beforeAll(async () => {
    postgres = await startPostgres()
  }, 60_000)
  afterAll(() => postgres?.stop())

  it('fall to the old version while the store is down, go on when it is back, and stop a bad candidate meanwhile', async () => {
    const databaseUrl = await postgres.schema()
    const node = async () => {
      const server = await startReleaseServer(tempFolder(), { store: { databaseUrl } }, [1, 2, 4])
      onTestFinished(() => server.close())
      return server
    }
    const nodes = [await node(), await node()] as const
    const { json: release } = await nodes[0].start({ to: 4, plan: '90%/1h,100%' })
    const leased = async () => (await nodes[1].status('shop')).nodes.filter(({ holdsLease }) => holdsLease).length
    await expect.poll(leased, patience).toBe(2)
    const units = Array.from({ length: 20 }, (_, i) => `unit-${i}`)
    const served = async (x: number) =>
      Promise.all(nodes.flatMap((server) => units.map((unit) => server.predict(unit, x))))
    const share = async () => (await served(0)).filter(({ y }) => y === 4).length
    expect(await share()).toBeGreaterThan(25)

    postgres.freeze()
    await expect.poll(share, patience).toBe(0)
    expect((await served(0)).some(({ flags }) => flags.includes('lease-expired'))).toBe(true)
    postgres.thaw()
    await expect.poll(share, patience).toBeGreaterThan(25)
    expect(await nodes[0].status('shop')).toMatchObject({ release: { state: 'running', step: 0, revision: 1 } })

    // With the store away nobody decides: what stops the candidate is the guard of the node, or, on a slow machine, the end of its lease.
    postgres.freeze()
    for (let i = 0; !(await nodes[0].predict(`other-${i}`, 1)).flags.includes('lease-expired'); i++);
    const after = await Promise.all(units.map((unit) => nodes[0].predict(unit, 1)))
    expect(after.every(({ status, y }) => status === 200 && y === 1)).toBe(true)
    postgres.thaw()
    const rolledBack = async () => {
      await served(1)
      return (await nodes[1].status('shop')).release.state
    }
    await expect.poll(rolledBack, patience).toBe('rolled-back')
    const { events } = await nodes[1].status(release.id)
    expect(events.at(-1)).toMatchObject({ kind: 'release.rollback', by: { kind: 'rule' } })
    expect(events.at(-1)!.evidence).toHaveProperty('reports')
    await expect.poll(async () => (await served(1)).every(({ y }) => y === 1), patience).toBe(true)
  }, 180_000)
})
