import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { settings } from './environment.js'
import { loadProject, withDefinitions } from './load-project.js'

let folder: string
let count = 0

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'headrace-project-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function project(config: string): Promise<string> {
  const root = path.join(folder, `p${count++}`)
  await mkdir(root)
  await writeFile(path.join(root, 'headrace.config.ts'), config)
  return root
}

describe('loadProject', () => {
  it('loads a TypeScript configuration that imports headrace, without a build step and without an installed package', async () => {
    const root = await project(`
      import { defineProject, split, version } from 'headrace'
      const share: number = 0.1
      export default defineProject({
        endpoints: { fraud: { deadlineMs: 250, route: split({ name: 'ab', arms: [
          { name: 'a', weight: 1 - share, route: version('fraud', 1) },
          { name: 'b', weight: share, route: version('fraud', { alias: 'challenger' }) }] }) } },
      })`)
    const { config, dataDir, models } = await loadProject(root)
    expect(config.endpoints['fraud']).toMatchObject({
      deadlineMs: 250,
      route: { kind: 'split', salt: 'ab', by: 'unit' },
    })
    expect(config.server.port).toBe(8080)
    expect(dataDir).toBe(path.join(root, '.headrace'))
    expect(models).toEqual({ kind: 'folder', folder: path.join(root, 'models') })
  })

  it('names the path, the value and what would be right for every mistake at once', async () => {
    const root = await project(`export default {
      server: { port: 'http', colour: 'red' },
      store: { databaseUrl: 'mysql://anna:hunter2@db/shop' },
      endpoints: { fraud: { deadlineMs: -5, route: { kind: 'version', model: 'fraud', version: 0 } }, 'a/b': { route: { kind: 'split' } } },
    }`)
    const error = await loadProject(root).catch((caught) => caught)
    expect(error.code).toBe('CONFIG_INVALID')
    expect(error.message).toContain('headrace.config.ts')
    expect(error.message).toMatch(/server\.port: .*number.*"http"/)
    expect(error.message).toMatch(/server: unknown "colour"/)
    expect(error.message).toContain('(arrived: "mysql://…@db/shop")')
    expect(error.message).toMatch(/endpoints\.fraud\.deadlineMs: .*-5/)
    expect(error.message).toContain('endpoints.fraud.route.version')
    expect(error.message).toContain('endpoints.a/b')
  })

  it('says where a configuration that cannot be run goes wrong', async () => {
    await expect(loadProject(await project('export default {'))).rejects.toMatchObject({ code: 'CONFIG_NOT_LOADABLE' })
    await expect(loadProject(await project('export default 7'))).rejects.toThrow('default export is not a project')
  })

  it('lets flags win over the environment and the environment over the file', async () => {
    const root = await project('export default { server: { port: 1000, host: "localhost" }, log: { segmentHours: 2 } }')
    const environment = {
      HEADRACE_SERVER_PORT: '2000',
      HEADRACE_SERVER_INSECURE: 'true',
      HEADRACE_LOG_SEGMENT_HOURS: '0.5',
    }
    const { config } = await loadProject(root, { environment, overrides: { server: { port: 3000 } } })
    expect(config.server).toMatchObject({ port: 3000, host: 'localhost', insecure: true })
    expect(config.log.segmentHours).toBe(0.5)
  })

  it('refuses an environment variable that is no value of its setting', async () => {
    const root = await project('export default {}')
    const loading = loadProject(root, { environment: { HEADRACE_SERVER_PORT: 'eighty' } })
    await expect(loading).rejects.toThrow(/HEADRACE_SERVER_PORT: expected .*"eighty"/)
  })

  it('serves a models folder, a folder that holds one, and a single file without a configuration', async () => {
    const models = path.join(folder, 'bare', 'models')
    await mkdir(path.join(models, 'm', '1'), { recursive: true })
    const file = path.join(models, 'm', '1', 'model.onnx')
    await writeFile(file, 'x')
    expect((await loadProject(models)).models).toEqual({ kind: 'folder', folder: models })
    expect((await loadProject(path.dirname(models))).models).toEqual({ kind: 'folder', folder: models })
    expect((await loadProject(file)).models).toEqual({ kind: 'file', file })
  })

  it('says what it found where there is nothing to serve', async () => {
    await expect(loadProject(path.join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'CONFIG_NOTHING_TO_SERVE' })
    const other = path.join(folder, 'other')
    await mkdir(other)
    await writeFile(path.join(other, 'notes.txt'), '')
    await expect(loadProject(other)).rejects.toThrow('no headrace.config.ts')
  })

  it('takes a folder with nothing in it but its data folder for a project that begins', async () => {
    const empty = path.join(folder, 'empty')
    await mkdir(path.join(empty, '.headrace'), { recursive: true })
    expect((await loadProject(empty)).models).toEqual({ kind: 'folder', folder: path.join(empty, 'models') })
  })
})

describe('settings', () => {
  it('has a variable, a type, a default and a description for every scalar', () => {
    const all = settings()
    expect(all.find(({ path }) => path === 'server.port')).toEqual({
      path: 'server.port',
      variable: 'HEADRACE_SERVER_PORT',
      type: 'integer',
      default: 8080,
      description: 'HTTP port; 0 takes any free one',
    })
    for (const setting of all) {
      expect(setting.description, setting.path).not.toBe('')
      expect(setting.type, setting.path).not.toBe('undefined')
    }
  })
})

describe('the features of a project', () => {
  const VIEWS = `
    import { column, count, defineEntity, defineFeatureService, defineFeatureView, pushSource } from 'headrace'
    import { user } from './entities'
    const orders = pushSource('orders', { columns: { user_id: 'string', amount: 'float64' } })
    export const spend = defineFeatureView('spend', { entities: [user], stream: orders, features: { n: count({ over: '1d' }) } })
    export const helper = (x: number) => x
    export const services = [defineFeatureService('fraud', [spend])]
    export default 5`
  const ENTITIES = `import { defineEntity } from 'headrace'
    export const user = defineEntity('user', { keys: { user_id: 'string' } })`

  it('are what its features folder exports and its configuration lists, whatever imports what', async () => {
    const root = await project(`
      import { defineEntity, defineProject } from 'headrace'
      import { spend } from './features/views'
      export default defineProject({ features: { definitions: [spend, defineEntity('card', { keys: { card_id: 'int64' } })] } })`)
    await mkdir(path.join(root, 'features'))
    await writeFile(path.join(root, 'features', 'views.ts'), VIEWS)
    await writeFile(path.join(root, 'features', 'entities.ts'), ENTITIES)
    await writeFile(path.join(root, 'features', 'views.test.ts'), 'throw new Error("a test is no definition")')
    const loaded = await loadProject(root)
    expect([...loaded.features!.entities.keys()].sort()).toEqual(['card', 'user'])
    expect([...loaded.features!.services.keys()]).toEqual(['fraud'])
    expect(() => structuredClone(loaded.config)).not.toThrow()
    const { features: _, ...plain } = loaded
    const again = await withDefinitions(structuredClone(plain))
    expect(again.features!.views.get('spend')!.fingerprint).toBe(loaded.features!.views.get('spend')!.fingerprint)
    expect([...again.features!.entities.keys()].sort()).toEqual(['card', 'user'])
  })

  it('are none without definitions', async () => {
    expect((await loadProject(await project('export default {}'))).features).toBeUndefined()
  })

  it('are refused with every mistake in them', async () => {
    const root = await project('export default {}')
    await mkdir(path.join(root, 'features'))
    await writeFile(
      path.join(root, 'features', 'a.ts'),
      `import { defineEntity } from 'headrace'
       export const a = defineEntity('a', { keys: {} }), b = defineEntity('b', { keys: { x: 'text' as 'string' } })`,
    )
    await expect(loadProject(root)).rejects.toThrow(/entity a › keys: It has no key.*\n.*entity b › keys.x/)
  })

  it('may use every helper that the package exports', async () => {
    const given = Object.keys(await import('./helpers.js'))
    const exported = Object.keys(await import('./index.js'))
    expect(exported).toEqual(expect.arrayContaining(given))
  })
})
