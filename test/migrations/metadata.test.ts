// Databases as earlier releases left them, brought forward: everything is kept, and more can be added.
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'libsql'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { loadProject, openEngines } from '../../src/app/index.js'
import { createPlatform } from '../../src/core/index.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../support/postgres.js'
import { tempFolder } from '../support/temp-folder.js'

const folder = join(import.meta.dirname, '../fixtures/metadata')
const shapes = (dialect: string) => readdirSync(folder).filter((name) => name.endsWith(`.${dialect}.sql`))
const read = (name: string) => readFileSync(join(folder, name), 'utf8')

/** From this shape on there are registered versions. */
const REGISTERED = 3

async function checkForward(name: string, environment: Record<string, string>): Promise<void> {
  const hasRegistered = Number.parseInt(name, 10) >= REGISTERED
  const more = hasRegistered ? 3 : 0
  const project = await loadProject(join(import.meta.dirname, '../../examples/shop'), { environment })
  const engines = await openEngines(project, createPlatform())
  onTestFinished(() => engines.close())
  const { aliases, digests, cacheSwitches } = engines.registry()
  expect(aliases).toEqual([{ model: 'fraud', alias: 'kept', version: 1 }])
  expect(digests.get('fraud/2')).toBe(`sha256:${'2'.repeat(64)}`)
  expect([...cacheSwitches.keys()]).toEqual(['fraud'])
  expect(await engines.decisions.verify()).toMatchObject({ ok: true, count: 6 + more })
  const [last, undo] = await engines.decisions.list({ limit: 2 })
  expect(undo).toMatchObject({ number: 5 + more, change: { kind: 'alias.set' }, by: { kind: 'person', name: 'Zoë' } })
  await engines.undo(last!.id, { kind: 'person', name: 'test' })
  expect(await engines.decisions.verify()).toMatchObject({ ok: true, count: 7 + more })
  const { registry } = engines.services
  expect(await registry.search({})).toHaveLength(hasRegistered ? 1 : 0)
  if (!hasRegistered) return
  expect(await registry.describe('Modèle à risque@2')).toMatchObject({
    ...{ owner: 'Zoë', tags: { text: 'two' }, metrics: { auc: 0.9, loss: Number.NaN }, card: '# Card' },
    ...{ lineage: { runId: 'run-two' }, files: [{ path: 'notes.txt', sizeBytes: 3 }], deletedMs: null },
  })
  const by = { kind: 'person', name: 'test' } as const
  expect(await registry.restore({ model: 'Modèle à risque', version: 1 }, by)).toMatchObject({ deletedMs: null })
}

describe('metadata that an earlier release wrote', () => {
  it.each(shapes('sqlite'))('is brought forward from %s', async (name) => {
    const dataDir = join(tempFolder(), 'data')
    await mkdir(dataDir)
    const db = new Database(join(dataDir, 'metadata.db'))
    db.exec(read(name))
    db.close()
    await checkForward(name, { HEADRACE_STORE_DATA_DIR: dataDir })
  })

  const missing = postgresMissing()
  describe.skipIf(missing)(`on Postgres${missing ? ` (skipped: ${missing})` : ''}`, () => {
    let postgres: TestPostgres
    beforeAll(async () => {
      postgres = await startPostgres()
    }, 60_000)
    afterAll(() => postgres?.stop())

    it.each(shapes('postgres'))('is brought forward from %s', async (name) => {
      const database = `shape_${name.split('.')[0]}`
      const url = postgres.url.replace(/\/postgres$/, `/${database}`)
      await run(postgres.url, `create database ${database}`)
      await run(url, read(name))
      await checkForward(name, { HEADRACE_STORE_DATA_DIR: join(tempFolder(), 'data'), DATABASE_URL: url })
    })
  })
})

async function run(url: string, text: string): Promise<void> {
  const client = new Client(url)
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}
