import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../core/index.js'
import { type Change, createDecisions, type Decision } from '../decisions/index.js'
import { openSql } from '../store/index.js'
import { registryChangeKinds } from './changes.js'
import { readAliases, readPointers, readVersions } from './metadata.js'
import { registryMigrations } from './migrations.js'

const BY = { kind: 'person', name: 'ada' } as const
const digest = (n: number): string => `sha256:${String(n).repeat(64).slice(0, 64)}`

const seen = (model: string, version: number, n = version): Change => ({
  kind: 'version.seen',
  subject: `${model}/${version}`,
  detail: { model, version, digest: digest(n) },
})
const alias = (model: string, alias: string, version: number | null): Change => ({
  kind: 'alias.set',
  subject: `${model}@${alias}`,
  detail: { model, alias, version },
})
const point = (endpoint: string, detail: Change['detail']): Change => ({
  kind: 'endpoint.point',
  subject: endpoint,
  detail: { endpoint, ...detail },
})

/** The real decisions on a real database, with versions 1 and 2 of fraud. */
async function registry() {
  const platform = testPlatform({ clock: new ManualClock() })
  const sql = await openSql({ file: join(tempFolder(), 'metadata.db'), platform })
  onTestFinished(() => sql.close())
  await sql.migrate('registry', registryMigrations)
  const decisions = await createDecisions({ sql, platform, kinds: registryChangeKinds })
  const apply = (change: Change): Promise<Decision> => decisions.apply(change, {}, BY)
  await apply(seen('fraud', 1))
  await apply(seen('fraud', 2))
  return {
    sql,
    apply,
    undo: (decision: Decision) => decisions.undo(decision.id, BY),
    explain: (decision: Decision) => decisions.explain(decision.id),
    aliases: async () => (await readAliases(sql)).map(({ model, alias, version }) => `${model}@${alias}=${version}`),
    pointers: async () => Object.fromEntries(await readPointers(sql)),
  }
}

describe('version.seen', () => {
  it('keeps the digest that a number stands for', async () => {
    const { sql, apply } = await registry()
    expect(await readVersions(sql)).toEqual([
      { ref: { model: 'fraud', version: 1 }, digest: digest(1) },
      { ref: { model: 'fraud', version: 2 }, digest: digest(2) },
    ])
    expect((await apply(seen('fraud', 2))).before).toEqual({ digest: digest(2) })
  })

  it('refuses another digest for the same number', async () => {
    const { sql, apply } = await registry()
    await expect(apply(seen('fraud', 2, 3))).rejects.toMatchObject({ code: 'REGISTRY_DIGEST_CHANGED', status: 409 })
    expect((await readVersions(sql))[1]?.digest).toBe(digest(2))
  })

  it('cannot be undone', async () => {
    const { apply, undo } = await registry()
    await expect(undo(await apply(seen('fraud', 3)))).rejects.toMatchObject({ code: 'DECISION_NOT_UNDOABLE' })
  })
})

describe('alias.set', () => {
  it('makes, moves and removes an alias, and undo goes back step by step', async () => {
    const { apply, undo, aliases } = await registry()
    const made = await apply(alias('fraud', 'champion', 1))
    const moved = await apply(alias('fraud', 'champion', 2))
    expect(moved.before).toEqual({ version: 1 })
    const removed = await apply(alias('fraud', 'champion', null))
    expect(await aliases()).toEqual([])
    await undo(removed)
    expect(await aliases()).toEqual(['fraud@champion=2'])
    const undone = await undo(moved)
    expect(await aliases()).toEqual(['fraud@champion=1'])
    await undo(undone)
    expect(await aliases()).toEqual(['fraud@champion=2'])
    await undo(await apply(alias('fraud', 'challenger', 1)))
    expect(await aliases()).toEqual(['fraud@champion=2'])
    expect(made.before).toBeNull()
  })

  it('says in a sentence what it did', async () => {
    const { apply, explain } = await registry()
    const summary = async (change: Change) => (await explain(await apply(change))).summary
    expect(await summary(alias('fraud', 'champion', 2))).toBe('Pointed alias "champion" of fraud at version 2.')
    expect(await summary(alias('fraud', 'champion', null))).toBe('Removed alias "champion" of fraud.')
    expect(await summary(seen('fraud', 3))).toBe(`Saw version 3 of fraud, ${digest(3)}.`)
    expect(await summary(point('checkout', { model: 'fraud', version: 1 }))).toBe(
      'Pointed endpoint checkout at version 1 of fraud.',
    )
    expect(await summary(point('checkout', { model: 'fraud', version: 'latest' }))).toBe(
      'Pointed endpoint checkout at the latest version of fraud.',
    )
  })

  it('refuses names that mean something else or cannot be written in a URL', async () => {
    const { apply } = await registry()
    for (const name of ['latest', 'v1', 'v12', '', 'a b', 'ä', 'x'.repeat(129)]) {
      const refusal = { code: 'REGISTRY_ALIAS_NAME_INVALID' }
      await expect(apply(alias('fraud', name, 1)), name).rejects.toMatchObject(refusal)
    }
  })

  it('refuses a version nobody saw, and to remove an alias that is not there', async () => {
    const { apply } = await registry()
    await expect(apply(alias('fraud', 'champion', 9))).rejects.toMatchObject({ code: 'REGISTRY_VERSION_NOT_FOUND' })
    await expect(apply(alias('fraud', 'champion', null))).rejects.toMatchObject({ code: 'REGISTRY_ALIAS_NOT_FOUND' })
  })

  it('keeps an alias that an endpoint points at, whether it is removed or its making is undone', async () => {
    const { apply, undo, aliases } = await registry()
    const made = await apply(alias('fraud', 'champion', 1))
    await apply(point('checkout', { model: 'fraud', alias: 'champion' }))
    const inUse = { code: 'REGISTRY_ALIAS_IN_USE', message: expect.stringContaining('checkout') }
    await expect(apply(alias('fraud', 'champion', null))).rejects.toMatchObject(inUse)
    await expect(undo(made)).rejects.toMatchObject(inUse)
    await apply(alias('fraud', 'champion', 2))
    expect(await aliases()).toEqual(['fraud@champion=2'])
  })
})

describe('endpoint.point', () => {
  it('points at a number, latest or an alias, and undo goes back step by step', async () => {
    const { apply, undo, pointers } = await registry()
    await apply(alias('fraud', 'champion', 1))
    const first = await apply(point('checkout', { model: 'fraud', version: 2 }))
    const second = await apply(point('checkout', { model: 'fraud', alias: 'champion' }))
    expect(await pointers()).toEqual({
      checkout: { kind: 'version', model: 'fraud', version: { alias: 'champion' } },
    })
    const third = await apply(point('checkout', { model: 'fraud', version: 'latest' }))
    expect(await pointers()).toEqual({ checkout: { kind: 'version', model: 'fraud', version: 'latest' } })
    expect(third.before).toEqual({ model: 'fraud', selector: { alias: 'champion' } })
    await undo(third)
    await undo(second)
    expect(await pointers()).toEqual({ checkout: { kind: 'version', model: 'fraud', version: 2 } })
    const undone = await undo(first)
    expect(await pointers()).toEqual({})
    await undo(undone)
    expect(await pointers()).toEqual({ checkout: { kind: 'version', model: 'fraud', version: 2 } })
  })

  it('does not go back to an alias that is gone', async () => {
    const { apply, undo, pointers } = await registry()
    await apply(alias('fraud', 'champion', 1))
    await apply(point('checkout', { model: 'fraud', alias: 'champion' }))
    const away = await apply(point('checkout', { model: 'fraud', version: 2 }))
    await apply(alias('fraud', 'champion', null))
    await expect(undo(away)).rejects.toMatchObject({ code: 'REGISTRY_ALIAS_NOT_FOUND' })
    expect(await pointers()).toEqual({ checkout: { kind: 'version', model: 'fraud', version: 2 } })
  })

  it('refuses what is not there, and details that are not right', async () => {
    const { apply, pointers } = await registry()
    const refused: [Change['detail'], string][] = [
      [{ model: 'fraud', version: 9 }, 'REGISTRY_VERSION_NOT_FOUND'],
      [{ model: 'fraud', alias: 'champion' }, 'REGISTRY_ALIAS_NOT_FOUND'],
      [{ model: 'other', version: 'latest' }, 'REGISTRY_MODEL_NOT_FOUND'],
      [{ model: 'fraud' }, 'REGISTRY_CHANGE_INVALID'],
      [{ model: 'fraud', version: 1, alias: 'champion' }, 'REGISTRY_CHANGE_INVALID'],
      [{ model: 'fraud', version: 1.5 }, 'REGISTRY_CHANGE_INVALID'],
      [{ model: 'fraud', version: '1' }, 'REGISTRY_CHANGE_INVALID'],
      [{ model: '../up', version: 1 }, 'REGISTRY_CHANGE_INVALID'],
      [{ model: 'fraud', version: 1, weight: 3 }, 'REGISTRY_CHANGE_INVALID'],
    ]
    for (const [detail, code] of refused) {
      await expect(apply(point('checkout', detail)), JSON.stringify(detail)).rejects.toMatchObject({ code })
    }
    expect(await pointers()).toEqual({})
  })

  it('refuses a subject that is not what the detail is about', async () => {
    const { apply } = await registry()
    const change = { ...point('checkout', { model: 'fraud', version: 1 }), subject: 'fraud' }
    await expect(apply(change)).rejects.toMatchObject({
      message: 'A change of kind "endpoint.point" is about "fraud", and its detail about "checkout".',
    })
  })
})
