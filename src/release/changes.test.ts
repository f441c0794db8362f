import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { tempFolder } from '../../test/support/temp-folder.js'
import { createPlatform, ManualClock } from '../core/index.js'
import { type Actor, createDecisions, type Decisions } from '../decisions/index.js'
import { registryChangeKinds, registryMigrations } from '../registry/index.js'
import { openSql, type Sql } from '../store/index.js'
import { releaseChangeKinds } from './changes.js'
import { parsePlan } from './plan.js'
import { type ReleaseTables, readActiveReleases, readReleaseTargets, releaseMigrations } from './tables.js'

const BY: Actor = { kind: 'person', name: 'anna' }
let sql: Sql
let decisions: Decisions
let leaderTerm = 1

beforeEach(async () => {
  const platform = createPlatform({ clock: new ManualClock() })
  sql = await openSql({ file: join(tempFolder(), 'metadata.db'), platform })
  await sql.migrate('registry', registryMigrations)
  await sql.migrate('releases', releaseMigrations)
  leaderTerm = 1
  const checkTerm = async (_: unknown, term: number) => {
    if (term !== leaderTerm) throw new Error(`term ${term} is over`)
  }
  decisions = await createDecisions({
    sql,
    platform,
    kinds: [...registryChangeKinds, ...releaseChangeKinds(checkTerm)],
  })
  for (const version of [1, 2, 3])
    await decisions.apply(
      {
        kind: 'version.seen',
        subject: `fraud/${version}`,
        detail: { model: 'fraud', version, digest: `sha256:${String(version).repeat(64)}` },
      },
      {},
      BY,
    )
  await alias(1)
})
afterEach(() => sql.close())

function alias(version: number) {
  const detail = { model: 'fraud', alias: 'champion', version }
  return decisions.apply({ kind: 'alias.set', subject: 'fraud@champion', detail }, {}, BY)
}

function start(release: string, { selector = '{"alias":"champion"}', to = 2, endpoint = 'shop' } = {}) {
  const read = JSON.parse(selector) as { alias?: string }
  const detail = {
    ...{ release, model: 'fraud', from: 1, to, selector, alias: read.alias ?? null },
    plan: JSON.stringify(parsePlan('5%/1h,100%')),
    ...{ minUnits: 100, timeScale: 1, guards: '{}', startedMs: 1, startedByKind: 'person', startedByName: 'anna' },
  }
  return decisions.apply({ kind: 'release.start', subject: endpoint, detail }, {}, BY)
}

function move(kind: string, release: string, { revision = null as number | null, term = null as number | null } = {}) {
  const detail = { release, revision, term, atMs: 5, reason: null }
  return decisions.apply({ kind: `release.${kind}`, subject: 'shop', detail }, {}, BY)
}

async function champion(): Promise<number | undefined> {
  const row = await sql
    .db<{ registry_aliases: { alias: string; version: number } }>()
    .selectFrom('registry_aliases')
    .select('version')
    .executeTakeFirst()
  return row?.version
}

const stateOf = async (id: string) =>
  (await sql.db<ReleaseTables>().selectFrom('releases').selectAll().where('id', '=', id).executeTakeFirstOrThrow())
    .state

describe('changes of releases', () => {
  it('let an endpoint have one active release', async () => {
    const both = await Promise.allSettled([start('a'), start('b')])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await readActiveReleases(sql)).toHaveLength(1)
    await start('c', { endpoint: 'other' })
  })

  it('are made once of two that start from the same revision', async () => {
    await start('a')
    const both = await Promise.allSettled([
      move('promote', 'a', { revision: 1 }),
      move('promote', 'a', { revision: 1 }),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await readActiveReleases(sql)).toMatchObject([{ stepIndex: 1, revision: 2 }])
    await expect(move('step', 'a')).rejects.toMatchObject({ code: 'RELEASE_CHANGE_INVALID' })
  })

  it('are refused from a controller whose term is over', async () => {
    await start('a')
    leaderTerm = 2
    await expect(move('complete', 'a', { term: 1 })).rejects.toThrow('term 1 is over')
    await move('complete', 'a', { term: 2 })
    expect(await champion()).toBe(2)
  })

  it('move the alias on completion, put it back when that is undone, and do it again when the undo is', async () => {
    await start('a')
    const completed = await move('complete', 'a')
    expect([await champion(), await stateOf('a')]).toEqual([2, 'completed'])
    const undone = await decisions.undo(completed.id, BY)
    expect([await champion(), await stateOf('a')]).toEqual([1, 'rolled-back'])
    await decisions.undo(undone.id, BY)
    expect([await champion(), await stateOf('a')]).toEqual([2, 'completed'])
  })

  it('change nothing when the alias was moved elsewhere meanwhile', async () => {
    await start('a')
    await alias(3)
    await expect(move('complete', 'a')).rejects.toMatchObject({ code: 'RELEASE_TARGET_MOVED' })
    expect([await champion(), await stateOf('a')]).toEqual([3, 'running'])
  })

  it('keep what leaves of a number mean, and forget it when the completion is undone', async () => {
    await start('a', { selector: '1' })
    const completed = await move('complete', 'a')
    expect(await readReleaseTargets(sql)).toEqual([{ endpoint: 'shop', model: 'fraud', selector: '1', version: 2 }])
    await decisions.undo(completed.id, BY)
    expect(await readReleaseTargets(sql)).toEqual([])
  })

  it('end once: a rollback, pause or undone start of a release that is over is refused', async () => {
    const started = await start('a')
    await move('rollback', 'a')
    for (const kind of ['rollback', 'pause', 'complete'])
      await expect(move(kind, 'a')).rejects.toMatchObject({ code: 'RELEASE_NOT_ACTIVE' })
    await expect(decisions.undo(started.id, BY)).rejects.toMatchObject({ code: 'RELEASE_NOT_ACTIVE' })
    await start('b')
  })

  it('of pausing are undone while the release is active', async () => {
    const started = await start('a')
    const paused = await move('pause', 'a')
    expect(await stateOf('a')).toBe('paused')
    await decisions.undo(paused.id, BY)
    expect(await stateOf('a')).toBe('running')
    await decisions.undo(started.id, BY)
    expect(await stateOf('a')).toBe('aborted')
    expect(await decisions.verify()).toMatchObject({ ok: true })
  })
})
