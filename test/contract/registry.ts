// What the registry promises on any database and blob store.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { ModelName } from '../../src/core/index.js'
import { blobKey, type Stage } from '../../src/registry/index.js'
import { ADA, digestOf, exampleModel, type openTestRegistry } from '../support/registry.js'

const DAY_MS = 86_400_000
const mlmodel = (flavors: string) => `flavors:\n${flavors}\nmlflow_version: 3.6.0\n`

export function registryContract(open: typeof openTestRegistry): void {
  describe('registering a version', () => {
    it('keeps what was said of it, by the digest of what is served', async () => {
      const { register, registry } = await open()
      const onnx = await exampleModel('fraud', 1)
      const { version, isNew } = await register(
        'fraud',
        { 'model.onnx': onnx, 'model.json': '{"labels": ["no", "yes"], "featureService": "payments"}' },
        {
          metrics: { auc: 0.9, gain: Number.NaN, loss: Number.POSITIVE_INFINITY },
          tags: { stage: 'trained' },
          lineage: { runId: 'r1', parents: ['fraud/0'] },
          owner: 'ada',
        },
      )
      expect(isNew).toBe(true)
      expect(version).toMatchObject({
        model: 'fraud',
        version: 1,
        digest: digestOf(onnx),
        isServable: true,
        metrics: { auc: 0.9, gain: Number.NaN, loss: Number.POSITIVE_INFINITY },
        tags: { stage: 'trained' },
        lineage: { runId: 'r1', parents: ['fraud/0'], featureService: 'payments' },
      })
      expect(version.signature?.inputs.map(({ name }) => name)).toContain('amount')
      expect(await registry.describe('fraud@1')).toEqual(version)
      expect(await registry.describe({ model: 'fraud', version: 1 })).toEqual(version)
    })

    it('returns the version that has the same files, unless another is asked for', async () => {
      const { register } = await open()
      await register('m', { 'a.txt': 'a' })
      expect(await register('m', { 'a.txt': 'a' })).toMatchObject({ isNew: false, version: { version: 1 } })
      expect(await register('m', { 'a.txt': 'a' }, { allowSame: true })).toMatchObject({ version: { version: 2 } })
      expect(await register('m', { 'b.txt': 'a' })).toMatchObject({ isNew: true, version: { version: 3 } })
    })

    it('gives racing pushes different numbers, and racing pushes of the same content one', async () => {
      const { register, registry } = await open()
      const others = await Promise.all(Array.from({ length: 8 }, (_, i) => register('m', { 'a.txt': `content ${i}` })))
      expect(others.map(({ version }) => version.version).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
      const same = await Promise.all(Array.from({ length: 5 }, () => register('m', { 'a.txt': 'the same' })))
      expect(same.filter(({ isNew }) => isNew)).toHaveLength(1)
      expect(new Set(same.map(({ version }) => version.version))).toEqual(new Set([9]))
      expect((await registry.getModel('m')).versions).toHaveLength(9)
    })

    it('takes numbers that the models folder has not', async () => {
      const { register } = await open({ takenElsewhere: async () => [1, 7] })
      expect((await register('m', { 'a.txt': 'a' })).version.version).toBe(8)
      await expect(register('m', { 'a.txt': 'b' }, { version: 7 })).rejects.toMatchObject({
        code: 'REGISTRY_VERSION_EXISTS',
      })
    })

    it('registers nothing of files whose bytes are not there', async () => {
      const { registry } = await open()
      const file = { path: 'model.onnx', digest: digestOf('absent'), sizeBytes: 6 }
      await expect(
        registry.registerVersion({ model: 'm', files: [file], source: 'test', by: ADA }),
      ).rejects.toMatchObject({ code: 'REGISTRY_BLOB_MISSING' })
      expect(await registry.listModels()).toEqual([])
    })

    it('keeps a model that cannot be served and says what to export', async () => {
      const { register } = await open()
      const { version } = await register('churn', {
        MLmodel: mlmodel(
          '  sklearn:\n    pickled_model: model.pkl\n  python_function:\n    loader_module: mlflow.sklearn',
        ),
        'model.pkl': Buffer.from([0x80, 4, 0x2e]),
      })
      expect(version.isServable).toBe(false)
      expect(version.reason).toContain('scikit-learn')
      expect(version.reason).toContain('onnx_model = to_onnx(model, X[:1])')
      expect(version.reason).toContain('mlflow.onnx.log_model(onnx_model')
      await expect(register('churn', { 'x.pkl': 'x' }, { mustServe: true })).rejects.toMatchObject({
        code: 'REGISTRY_REFUSED',
      })
    })

    it("serves the ONNX file of MLflow's folder, with the names of the columns that only MLflow knows", async () => {
      const { register } = await open()
      const columns = Array.from({ length: 10 }, (_, i) => ({
        type: 'float',
        name: `column ${i} of the table`,
        required: true,
      }))
      const inputs = JSON.stringify(columns).replaceAll("'", "''")
      const { version } = await register('intent', {
        'model/MLmodel': `${mlmodel('  onnx:\n    data: model.onnx')}signature:\n  inputs: '${inputs}'\n  outputs: null\n`,
        'model/model.onnx': await exampleModel('purchase-intent', 1),
        'model/requirements.txt': 'onnx',
      })
      expect(version).toMatchObject({ isServable: true, reason: null })
      expect(JSON.parse(version.manifest!)).toEqual({ features: columns.map(({ name }) => name) })
      expect(version.servedFiles.map(({ path }) => path).sort()).toEqual(['model.json', 'model.onnx'])
    })

    it.each([
      ['../up.txt', 'not a plain one'],
      ['a/../../b', 'not a plain one'],
      ['/abs', 'not a plain one'],
      ['C:/x', 'not a plain one'],
      ['a\\b', 'backslash'],
      ['', 'empty'],
      ['a\u0000b', 'cannot be printed'],
      ['x'.repeat(2000), 'longer than'],
    ])('refuses a file called %j', async (path, problem) => {
      const { register } = await open()
      const refused = expect(register('m', { [path]: 'a' })).rejects
      await refused.toMatchObject({
        code: 'REGISTRY_FILES_INVALID',
        message: expect.stringContaining(problem) as string,
      })
    })

    it('refuses two files that are one for another file system, and a file that is also a folder', async () => {
      const { register } = await open()
      await expect(register('m', { 'A.txt': 'a', 'a.TXT': 'b' })).rejects.toMatchObject({
        code: 'REGISTRY_FILES_INVALID',
      })
      await expect(register('m', { 'e\u0301': 'a', '\u00e9': 'b' })).rejects.toMatchObject({
        code: 'REGISTRY_FILES_INVALID',
      })
      await expect(register('m', { a: 'a', 'a/b': 'b' })).rejects.toMatchObject({ code: 'REGISTRY_FILES_INVALID' })
    })

    it('takes names of any script, gives each a name to be served by, and refuses what separates versions', async () => {
      const { register, registry } = await open()
      for (const name of ['Ünïcode модель', 'a b', 'x'.repeat(500), '.dot', 'a@b'])
        expect((await register(name, { 'a.txt': 'a' })).version.model).toBe(name)
      const names = (await registry.listModels()).map(({ servableName }) => servableName)
      expect(new Set(names).size).toBe(5)
      for (const name of names) expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/)
      expect((await registry.describe('a@b@1')).model).toBe('a@b')
      for (const name of ['a/b', 'a:b', '', '  ', 'a\nb', 'x'.repeat(501)])
        await expect(register(name, { 'a.txt': 'a' })).rejects.toMatchObject({ code: 'REGISTRY_MODEL_NAME_INVALID' })
    })

    it('keeps what a renamed model is served as, finds it by both names, and gives neither to another model', async () => {
      const { register, registry, decisions } = await open()
      await register('fraud', { 'a.txt': 'a' })
      await register('other', { 'a.txt': 'b' })
      await registry.updateModel('fraud', { name: 'risk of fraud', tags: { team: 'risk' } })
      await registry.setAlias({ model: 'risk of fraud', alias: 'kept', version: 1, by: ADA })
      for (const name of ['fraud', 'risk of fraud'])
        expect(await registry.getModel(name)).toMatchObject({
          ...{
            name: 'risk of fraud',
            servableName: 'fraud',
            versions: [1],
            aliases: { kept: 1 },
            tags: { team: 'risk' },
          },
        })
      expect((await decisions.list({ limit: 1 }))[0]!.change.subject).toBe('fraud@kept')
      const again = await register('fraud', { 'a.txt': 'c' })
      expect(again.version).toMatchObject({ model: 'risk of fraud', servableName: 'fraud', version: 2 })
      const exists = { code: 'REGISTRY_MODEL_EXISTS' }
      await expect(registry.createModel({ name: 'fraud', by: ADA })).rejects.toMatchObject(exists)
      for (const name of ['fraud', 'risk of fraud'])
        await expect(registry.updateModel('other', { name })).rejects.toMatchObject(exists)
      await registry.setAlias({ model: 'fraud', alias: 'kept', version: null, by: ADA })
      await registry.removeModel('fraud', ADA)
      await expect(register('fraud', { 'a.txt': 'd' })).rejects.toMatchObject(exists)
      await expect(registry.updateModel('other', { name: 'fraud' })).rejects.toMatchObject(exists)
      const [newest] = await decisions.list({ kind: 'version.delete', limit: 1 })
      await decisions.undo(newest!.id, ADA)
      expect(await registry.updateModel('fraud', { name: 'fraud' })).toMatchObject({
        name: 'fraud',
        servableName: 'fraud',
      })
    })

    it('refuses a card of megabytes and thousands of tags', async () => {
      const { register } = await open()
      const tags = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`t${i}`, '']))
      for (const more of [{ card: 'x'.repeat(2 ** 21) }, { tags }, { owner: 'a\u0000' }])
        await expect(register('m', { 'a.txt': 'a' }, more)).rejects.toMatchObject({ code: 'REGISTRY_FIELD_INVALID' })
    })

    it('says what is wrong with an empty ONNX file and with one that was cut off', async () => {
      const { register } = await open()
      expect((await register('m', { 'model.onnx': '' })).version.reason).toContain('empty')
      const cut = (await exampleModel('fraud', 1)).subarray(0, 500)
      expect((await register('m', { 'model.onnx': cut })).version).toMatchObject({ isServable: false })
    })
  })

  describe('finding versions', () => {
    it('compares metrics, tags, runs and digests', async () => {
      const { register, registry } = await open()
      for (const [i, auc] of [0.8, 0.9, Number.NaN].entries())
        await register('m', { 'a.txt': `${i}` }, { metrics: { auc }, tags: { n: `${i}` }, lineage: { runId: `r${i}` } })
      const numbers = async (query: Parameters<typeof registry.search>[0]) =>
        (await registry.search(query)).map(({ version }) => version).sort()
      expect(await numbers({ metrics: [{ name: 'auc', operator: '>', value: 0.85 }] })).toEqual([2])
      expect(await numbers({ metrics: [{ name: 'auc', operator: '<=', value: 0.9 }] })).toEqual([1, 2])
      expect(await numbers({ tags: { n: '0' } })).toEqual([1])
      expect(await numbers({ runId: 'r2' })).toEqual([3])
      expect(await numbers({ digest: digestOf('1') })).toEqual([2])
      expect(await numbers({ text: 'M' })).toEqual([1, 2, 3])
      expect(await numbers({ model: 'm', limit: 2 })).toHaveLength(2)
      expect(await numbers({ owner: 'nobody' })).toEqual([])
    })

    it('keeps who moved an alias, and what an undo put back', async () => {
      const { register, registry, decisions } = await open()
      for (const text of ['a', 'b']) await register('m', { 'a.txt': text })
      const set = (version: number | null) =>
        registry.setAlias({ model: 'm', alias: 'champion', version, by: ADA, reason: 'r' })
      await set(1)
      const { id } = await set(2)
      await decisions.undo(id as never, ADA)
      await set(null)
      const history = await registry.aliasHistory('m', 'champion')
      expect(history.map(({ version, before }) => [version, before])).toEqual([
        [null, 1],
        [1, 2],
        [2, 1],
        [1, null],
      ])
    })

    it('moves versions to stages by decisions, and one that archives others is undone with them', async () => {
      const { register, registry, decisions, clock } = await open()
      for (const text of ['a', 'b', 'c']) await register('m', { 'a.txt': text })
      const move = (version: number, stage: Stage, archiveOthers = false) =>
        registry.setStage({ model: 'm', version, stage, archiveOthers, by: ADA })
      const stages = async () => (await registry.search({ model: 'm' })).map(({ stage }) => stage)
      await move(1, 'Production')
      await move(2, 'Production')
      clock.advance(1)
      expect(await move(3, 'Production', true)).toMatchObject({ stage: 'Production', updatedMs: clock.nowMs() })
      expect(await stages()).toEqual(['Production', 'Archived', 'Archived'])
      const [last] = await decisions.list({ limit: 1 })
      expect(last).toMatchObject({ change: { kind: 'version.stage', subject: 'm/3' }, by: ADA })
      const undo = await decisions.undo(last!.id, ADA)
      expect(await stages()).toEqual(['None', 'Production', 'Production'])
      await decisions.undo(undo.id, ADA)
      expect(await stages()).toEqual(['Production', 'Archived', 'Archived'])
      await registry.remove({ model: 'm', version: 1 }, ADA)
      await expect(move(1, 'Staging')).rejects.toMatchObject({ code: 'REGISTRY_VERSION_NOT_FOUND' })
      await expect(move(2, 'Live' as Stage)).rejects.toMatchObject({ code: 'REGISTRY_FIELD_INVALID' })
    })

    it('does not let an alias take calls from a version that answers to one that cannot', async () => {
      const { register, registry } = await open()
      await register('m', { 'model.onnx': await exampleModel('fraud', 1) })
      await register('m', { 'model.pkl': 'x' })
      const set = (version: number) => registry.setAlias({ model: 'm', alias: 'champion', version, by: ADA })
      await set(1)
      await expect(set(2)).rejects.toMatchObject({ code: 'REGISTRY_NOT_SERVABLE' })
    })
  })

  describe('deleting and collecting', () => {
    it('refuses while an alias or a caller uses it, and restores', async () => {
      const { register, registry } = await open()
      await register('m', { 'a.txt': 'a' })
      const ref = { model: 'm', version: 1 }
      await registry.setAlias({ model: 'm', alias: 'champion', version: 1, by: ADA })
      await expect(registry.remove(ref, ADA)).rejects.toMatchObject({
        code: 'REGISTRY_VERSION_IN_USE',
        message: expect.stringContaining('the alias "champion" names it') as string,
      })
      await registry.setAlias({ model: 'm', alias: 'champion', version: null, by: ADA })
      await expect(registry.remove(ref, ADA, undefined, ['a release'])).rejects.toMatchObject({
        code: 'REGISTRY_VERSION_IN_USE',
      })
      expect((await registry.remove(ref, ADA)).deletedMs).not.toBeNull()
      await expect(registry.setAlias({ model: 'm', alias: 'x', version: 1, by: ADA })).rejects.toMatchObject({
        code: 'REGISTRY_VERSION_NOT_FOUND',
      })
      expect((await registry.restore(ref, ADA)).deletedMs).toBeNull()
      await expect(registry.restore(ref, ADA)).rejects.toMatchObject({ code: 'REGISTRY_NOT_DELETED' })
    })

    it('brings a model that was deleted as a whole back with one of its versions', async () => {
      const { register, registry, decisions } = await open()
      for (const text of ['a', 'b']) await register('m', { 'a.txt': text })
      await registry.removeModel('m', ADA)
      await expect(registry.getModel('m')).rejects.toMatchObject({ code: 'REGISTRY_MODEL_NOT_FOUND' })
      const [newest] = await decisions.list({ kind: 'version.delete', limit: 1 })
      await decisions.undo(newest!.id, ADA)
      expect(await registry.getModel('m')).toMatchObject({ versions: [2] })
    })

    it('frees the files of versions deleted long enough ago, but none that another version has, nor a number', async () => {
      const { register, registry, clock, blobs } = await open()
      await register('m', { 'a.txt': 'shared', 'b.txt': 'only one' })
      await register('m', { 'a.txt': 'shared' })
      await registry.remove({ model: 'm', version: 1 }, ADA)
      clock.advance(3 * DAY_MS)
      expect(await registry.gc({ by: ADA })).toMatchObject({ removed: [], blobs: 0 })
      clock.advance(5 * DAY_MS)
      const would = await registry.gc({ by: ADA, isDryRun: true })
      expect(would).toMatchObject({ removed: [{ model: 'm', version: 1 }], blobs: 1, freedBytes: 8 })
      expect(await registry.gc({ by: ADA })).toEqual({ ...would, isDryRun: false })
      await expect(blobs.get(blobKey(digestOf('only one')))).rejects.toMatchObject({ code: 'STORE_BLOB_NOT_FOUND' })
      ;(await blobs.get(blobKey(digestOf('shared')))).destroy()
      expect((await register('m', { 'a.txt': 'new' })).version.version).toBe(3)
    })

    it('lets no alias name what is gone for good, nor an undo bring such an alias back', async () => {
      const { register, registry, clock, decisions } = await open()
      for (const text of ['a', 'b']) await register('m', { 'a.txt': text })
      const set = (version: number) => registry.setAlias({ model: 'm', alias: 'champion', version, by: ADA })
      await set(1)
      const { id } = await set(2)
      await registry.remove({ model: 'm', version: 1 }, ADA)
      clock.advance(8 * DAY_MS)
      expect((await registry.gc({ by: ADA })).removed).toEqual([{ model: 'm', version: 1 }])
      const refusal = { code: 'REGISTRY_VERSION_NOT_FOUND' }
      await expect(set(1)).rejects.toMatchObject(refusal)
      await expect(decisions.undo(id as never, ADA)).rejects.toMatchObject(refusal)
      expect((await registry.getModel('m')).aliases).toEqual({ champion: 2 })
    })

    it('removes the copies on this machine of versions that are gone, at once', async () => {
      const { register, registry, local, clock } = await open()
      const copies: string[] = []
      for (const version of [1, 2]) {
        const { version: made } = await register('fraud', { 'model.onnx': await exampleModel('fraud', version) })
        copies.push(local.placeOf(made.servedFiles))
      }
      await registry.remove({ model: 'fraud', version: 1 }, ADA)
      clock.advance(8 * DAY_MS)
      expect(copies.map((place) => existsSync(place))).toEqual([true, true])
      await registry.gc({ by: ADA, isDryRun: true })
      expect(copies.map((place) => existsSync(place))).toEqual([true, true])
      await registry.gc({ by: ADA })
      expect(copies.map((place) => existsSync(place))).toEqual([false, true])
    })

    it('leaves alone what a push claimed a moment ago, and what others need', async () => {
      const { put, registry, clock, blobs } = await open({
        othersNeed: async (digests) => new Set(digests.filter((digest) => digest === digestOf('a run has it'))),
      })
      await put({ a: 'old', b: 'a run has it' })
      clock.advance(2 * DAY_MS)
      await put({ c: 'just claimed' })
      expect(await registry.gc({ by: ADA })).toMatchObject({ blobs: 1, keptBlobs: 2 })
      ;(await blobs.get(blobKey(digestOf('just claimed')))).destroy()
      ;(await blobs.get(blobKey(digestOf('a run has it')))).destroy()
    })

    it('deletes by retention what nothing uses, and never the newest', async () => {
      const { register, registry } = await open()
      for (const text of 'abcde') await register('m', { 'a.txt': text })
      await registry.setAlias({ model: 'm', alias: 'old', version: 1, by: ADA })
      const report = await registry.gc({ by: ADA, keepVersions: 2, inUse: ['m/2'] })
      expect(report.expired).toEqual([{ model: 'm', version: 3 }])
      expect((await registry.getModel('m')).versions).toEqual([1, 2, 4, 5])
    })
  })

  describe('copies on this machine', () => {
    const setUp = async () => {
      const test = await open()
      const { version } = await test.register('fraud', { 'model.onnx': await exampleModel('fraud', 1) })
      const ref = { model: 'fraud' as ModelName, version: 1 }
      const file = join(test.local.placeOf(version.servedFiles), 'model.onnx')
      return { ...test, ref, file, served: version.servedFiles, digest: version.digest }
    }

    it('are fetched again when they were changed', async () => {
      const { local, ref, file, served, digest } = await setUp()
      writeFileSync(file, 'something else')
      await local.ensure(ref, served)
      expect(digestOf(readFileSync(file))).toBe(digest)
    })

    it('are never made of bytes that are not what was registered', async () => {
      const { local, ref, file, served, blobs, digest } = await setUp()
      writeFileSync(file, 'something else')
      await blobs.put(blobKey(digest), Readable.from([Buffer.from('changed too')]))
      await expect(local.ensure(ref, served)).rejects.toMatchObject({ code: 'REGISTRY_DIGEST_CHANGED' })
      expect(await readFile(file, 'utf8')).toBe('something else')
    })

    it('say that they are tried again when the blob store has them not', async () => {
      const { local, ref, file, served, blobs, digest } = await setUp()
      await local.ensure(ref, served)
      await blobs.remove(blobKey(digest))
      // What is there serves without it.
      await local.ensure(ref, served)
      writeFileSync(file, 'something else')
      await expect(local.ensure(ref, served)).rejects.toMatchObject({ code: 'REGISTRY_FETCH_FAILED', retry: true })
    })
  })

  describe('comparing versions', () => {
    it('says what breaks callers', async () => {
      const { register, registry } = await open()
      const column = (name: string, datatype: string, shape: number[]) => ({ name, datatype, shape })
      const outputs = [column('score', 'FP32', [-1, 1])]
      await register(
        'm',
        { a: '1' },
        { signature: { inputs: [column('x', 'FP32', [-1, 3])], outputs }, card: 'one\ntwo' },
      )
      await register(
        'm',
        { a: '2' },
        {
          signature: {
            inputs: [column('x', 'FP64', [-1, 4]), { ...column('extra', 'FP32', [-1]), isOptional: true }],
            outputs: [...outputs, column('more', 'FP32', [-1])],
          },
          card: 'one\nthree',
        },
      )
      const { signature, card, files } = await registry.diff('m@1', 'm@2')
      expect(signature).toEqual({
        isBreaking: true,
        changes: [
          { isBreaking: true, text: 'the input "x" was FP32 and is FP64' },
          { isBreaking: true, text: 'the input "x" was [-1, 3] and is [-1, 4]' },
          { isBreaking: false, text: 'the input "extra" is new and may be left out' },
          { isBreaking: false, text: 'the output "more" is new' },
        ],
      })
      expect(card).toEqual(['- two', '+ three'])
      expect(files).toHaveLength(1)
      expect((await registry.diff('m@2', 'm@2')).signature).toEqual({ isBreaking: false, changes: [] })
    })
  })
}
