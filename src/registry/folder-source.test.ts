import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { describe, expect, it, onTestFinished } from 'vitest'
import { modelSourceContract } from '../../test/contract/model-source.js'
import { buildModel, linearModel, node, value } from '../../test/support/onnx-models.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { type Logger, ManualClock, silentLogger, testPlatform, type VersionRef, versionKey } from '../core/index.js'
import { TensorProto_DataLocation, TensorProtoSchema } from '../formats/index.js'
import { createFolderSource } from './folder-source.js'
import { pushVersion } from './push.js'
import type { FolderSource, SourceEvent } from './types.js'

const model = linearModel([1, 2, 3])

/**
 * A models folder on real disk, looked at in virtual time. Unless told otherwise the clock is far behind the file system's, so
 * that no file looks old and only looks in virtual time can settle it.
 */
class Folder {
  readonly root = tempFolder()
  readonly clock: ManualClock
  readonly warnings: { fields: Record<string, unknown>; message: string }[] = []
  readonly logger: Logger = {
    ...silentLogger,
    warn: (fields, message) => this.warnings.push({ fields: fields as Record<string, unknown>, message }),
  }
  readonly source: FolderSource
  readonly events: string[] = []

  constructor(startMs = 0) {
    this.clock = new ManualClock(startMs)
    const platform = testPlatform({ clock: this.clock, logger: this.logger })
    this.source = createFolderSource({ folder: this.root, platform })
  }

  write(path: string, content: string | Uint8Array = model): void {
    const file = join(this.root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
  }

  path(path: string): string {
    return join(this.root, path)
  }

  /** Watches, and looks once. */
  async watch(): Promise<void> {
    onTestFinished(this.source.watch((event) => this.events.push(`${event.kind} ${versionKey(event.ref)}`)))
    await this.source.refresh()
  }

  /** Looks again when the settle time is over. */
  async settle(): Promise<void> {
    await this.source.refresh()
    this.clock.advance(500)
    await this.source.refresh()
  }

  async listed(): Promise<string[]> {
    return (await this.source.list()).map(versionKey)
  }

  reasons(): Record<string, string> {
    return Object.fromEntries(this.source.pending().map(({ ref, reason }) => [versionKey(ref), reason]))
  }
}

const ref = (key: string): VersionRef => {
  const [model, version] = key.split('/')
  return { model, version: Number(version) } as VersionRef
}

describe('createFolderSource', () => {
  it('gives versions that were copied just now the settle time before the first list, and no more', async () => {
    const folder = new Folder()
    folder.write('fraud/1/model.onnx')
    let isSettled = false
    const settled = folder.source.settle().then(() => {
      isSettled = true
    })
    await folder.source.refresh()
    expect(isSettled).toBe(false)
    folder.clock.advance(501)
    await settled
    expect(await folder.listed()).toEqual(['fraud/1'])
    await folder.source.settle()
  })

  modelSourceContract(() => {
    const root = tempFolder()
    const write = (path: string, content: string | Uint8Array) => {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), content)
    }
    for (const path of ['b/10', 'b/2', 'a/1']) write(`${path}/model.onnx`, model)
    return {
      source: createFolderSource({
        folder: root,
        platform: testPlatform({ clock: new ManualClock(Date.now()) }),
        settleMs: 0,
      }),
      refs: ['a/1', 'b/2', 'b/10'].map(ref),
      setDescription: (description) => write('a/1/model.json', JSON.stringify({ description })),
      replaceModel: () => write('a/1/model.onnx', linearModel([9])),
    }
  })

  describe('what it takes for a version', () => {
    it('lists files that are older than the settle time at once, so that start-up does not wait', async () => {
      const folder = new Folder(Date.now() + 60_000)
      folder.write('fraud/1/model.onnx')
      folder.write('fraud/2/model.onnx')
      expect(await folder.listed()).toEqual(['fraud/1', 'fraud/2'])
    })

    it('does not take modification times at their word, which copying tools set back', async () => {
      const folder = new Folder(Date.now())
      folder.write('fraud/1/model.onnx')
      utimesSync(folder.path('fraud/1/model.onnx'), 1_500_000_000, 1_500_000_000)
      expect(await folder.listed()).toEqual([])
    })

    it('sees a folder and a file through a symbolic link', async () => {
      const folder = new Folder(Date.now() + 60_000)
      const elsewhere = tempFolder()
      writeFileSync(join(elsewhere, 'net.onnx'), model)
      mkdirSync(folder.path('linked/1'), { recursive: true })
      symlinkSync(join(elsewhere, 'net.onnx'), folder.path('linked/1/model.onnx'))
      mkdirSync(folder.path('whole'))
      symlinkSync(folder.path('linked/1'), folder.path('whole/3'))
      expect(await folder.listed()).toEqual(['linked/1', 'whole/3'])
    })

    it('ignores hidden and loose files quietly, and folders with other names with one warning each', async () => {
      const folder = new Folder(Date.now() + 60_000)
      folder.write('fraud/1/model.onnx')
      folder.write('fraud/.push-x/model.onnx')
      folder.write('fraud/README.md', 'x')
      folder.write('README.md', 'x')
      folder.write('.git/1/model.onnx')
      folder.write('fraud/01/model.onnx')
      folder.write('fraud/0/model.onnx')
      folder.write('fraud/v2/model.onnx')
      folder.write('my models/1/model.onnx')
      expect(await folder.listed()).toEqual(['fraud/1'])
      await folder.source.refresh()
      const named = folder.warnings.map(({ fields }) => fields['folder'])
      expect(named.sort()).toEqual(['fraud/0', 'fraud/01', 'fraud/v2', 'my models'].map((path) => folder.path(path)))
    })

    it('says that the folder itself cannot be read', async () => {
      const platform = testPlatform()
      const missing = createFolderSource({ folder: join(tempFolder(), 'none'), platform })
      await expect(missing.list()).rejects.toMatchObject({ code: 'REGISTRY_FOLDER_UNREADABLE' })
      const file = join(tempFolder(), 'file')
      writeFileSync(file, '')
      await expect(createFolderSource({ folder: file, platform }).list()).rejects.toMatchObject({
        message: expect.stringContaining('ENOTDIR'),
      })
    })
  })

  describe('completeness', () => {
    it('announces a version once it has not changed for the settle time, not before', async () => {
      const folder = new Folder()
      await folder.watch()
      folder.write('fraud/1/model.onnx')
      await folder.source.refresh()
      folder.clock.advance(499)
      await folder.source.refresh()
      expect(folder.events).toEqual([])
      expect(folder.reasons()).toEqual({ 'fraud/1': 'its files are still changing' })
      folder.clock.advance(1)
      await folder.source.refresh()
      expect(folder.events).toEqual(['added fraud/1'])
      expect(folder.reasons()).toEqual({})
    })

    it('announces a file that arrives in slices only when it is whole, however long the pauses', async () => {
      const folder = new Folder()
      await folder.watch()
      folder.write('fraud/1/model.onnx', model.subarray(0, 10))
      for (let from = 10; from < model.length; from += 20) {
        await folder.settle()
        await folder.settle()
        expect(folder.events).toEqual([])
        appendFileSync(folder.path('fraud/1/model.onnx'), model.subarray(from, from + 20))
      }
      expect(folder.reasons()['fraud/1']).toContain('model.onnx is not whole: it ends at byte')
      await folder.settle()
      expect(folder.events).toEqual(['added fraud/1'])
      expect((await folder.source.get(ref('fraud/1'))).sizeBytes).toBe(model.length)
    })

    it('starts the settle time again whenever a file grows', async () => {
      const folder = new Folder()
      folder.write('fraud/1/model.onnx')
      for (let i = 0; i < 5; i++) {
        folder.write('fraud/1/notes.txt', 'x'.repeat(i))
        await folder.source.refresh()
        folder.clock.advance(400)
        await folder.source.refresh()
        expect(await folder.listed()).toEqual([])
      }
      folder.clock.advance(100)
      expect(await folder.listed()).toEqual(['fraud/1'])
    })

    it('waits while a copying tool fills its temporary file beside the model', async () => {
      const folder = new Folder()
      folder.write('fraud/1/model.onnx')
      folder.write('fraud/1/.model.json.Xa81', '{"descr')
      await folder.source.refresh()
      folder.clock.advance(300)
      appendFileSync(folder.path('fraud/1/.model.json.Xa81'), 'iption":"late"}')
      await folder.source.refresh()
      folder.clock.advance(300)
      expect(await folder.listed()).toEqual([])
      renameSync(folder.path('fraud/1/.model.json.Xa81'), folder.path('fraud/1/model.json'))
      await folder.settle()
      expect(await folder.listed()).toEqual(['fraud/1'])
      expect((await folder.source.get(ref('fraud/1'))).manifest.description).toBe('late')
    })

    it('announces a finished folder that is renamed into place', async () => {
      const folder = new Folder()
      await folder.watch()
      const outside = tempFolder()
      writeFileSync(join(outside, 'model.onnx'), model)
      mkdirSync(folder.path('fraud'))
      renameSync(outside, folder.path('fraud/4'))
      await folder.settle()
      expect(folder.events).toEqual(['added fraud/4'])
    })

    it('names what arrived in place of a model, once', async () => {
      const folder = new Folder()
      folder.write('fraud/1/model.onnx', Buffer.from('800495cd02000000', 'hex'))
      await folder.settle()
      await folder.settle()
      expect(folder.reasons()['fraud/1']).toContain('model.onnx is a Python pickle')
      expect(folder.warnings).toHaveLength(1)
      await expect(folder.source.get(ref('fraud/1'))).rejects.toMatchObject({
        code: 'REGISTRY_VERSION_NOT_FOUND',
        message: expect.stringContaining('a Python pickle'),
      })
    })

    it('waits for the model file', async () => {
      const folder = new Folder()
      folder.write('fraud/1/model.json', '{}')
      await folder.settle()
      expect(folder.reasons()).toEqual({
        'fraud/1': 'it has no model.onnx and no script (model.ts, model.mjs or model.js)',
      })
      folder.write('fraud/1/model.onnx')
      await folder.settle()
      expect(await folder.listed()).toEqual(['fraud/1'])
    })

    it('takes a script for a model, and another file beside it for neither', async () => {
      const folder = new Folder()
      folder.write('rule/1/model.ts', 'export default 1')
      folder.write('rule/2/model.mjs', '')
      folder.write('rule/3/model.ts', 'export default 1')
      folder.write('rule/3/model.onnx')
      await folder.settle()
      expect(await folder.listed()).toEqual(['rule/1'])
      expect(await folder.source.get(ref('rule/1'))).toMatchObject({
        backend: 'script',
        file: folder.path('rule/1/model.ts'),
        sizeBytes: 16,
      })
      expect(folder.reasons()).toEqual({
        'rule/2': 'model.mjs is an empty file. Copy or export it again.',
        'rule/3': 'it has model.onnx and model.ts, and a version is one file',
      })
    })

    it('keeps the version it announced when another model file is put beside it', async () => {
      const folder = new Folder()
      folder.write('rule/1/model.ts', 'export default 1')
      await folder.settle()
      await folder.source.get(ref('rule/1'))
      folder.write('rule/1/model.onnx')
      await folder.settle()
      expect(await folder.listed()).toEqual(['rule/1'])
      expect((await folder.source.get(ref('rule/1'))).backend).toBe('script')
    })

    it('waits for files with external tensors, also in a folder below, and for all of their bytes', async () => {
      const folder = new Folder()
      const tensor = create(TensorProtoSchema, {
        name: 'w',
        dims: [2n],
        dataType: 1,
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: Object.entries({ location: 'parts/w.bin', offset: '0', length: '8' }).map(([key, value]) => ({
          key,
          value,
        })),
      })
      const parts = { inputs: [value('x', 'FP32', [2])], outputs: [value('y', 'FP32', [2])] }
      const external = buildModel({ ...parts, nodes: [node('Add', ['x', 'w'], ['y'])], initializers: [tensor] })
      folder.write('big/1/model.onnx', external)
      await folder.settle()
      expect(folder.reasons()['big/1']).toBe('model.onnx keeps tensors in "parts/w.bin", which is not there')
      folder.write('big/1/parts/w.bin', '1234')
      await folder.settle()
      expect(folder.reasons()['big/1']).toBe(
        'model.onnx is not whole: its tensors in "parts/w.bin" need 8 bytes, and it has 4',
      )
      appendFileSync(folder.path('big/1/parts/w.bin'), '5678')
      await folder.settle()
      expect(await folder.listed()).toEqual(['big/1'])
    })

    it('gives a version with a bad manifest no artifact, and announces it again when the manifest is mended', async () => {
      const folder = new Folder()
      await folder.watch()
      folder.write('fraud/1/model.onnx')
      folder.write('fraud/1/model.json', '{"lables": []}')
      await folder.settle()
      await expect(folder.source.get(ref('fraud/1'))).rejects.toMatchObject({ code: 'REGISTRY_MANIFEST_INVALID' })
      folder.write('fraud/1/model.json', '{"labels": ["no"]}')
      await folder.settle()
      expect(folder.events).toEqual(['added fraud/1', 'added fraud/1'])
      expect((await folder.source.get(ref('fraud/1'))).manifest.labels).toEqual(['no'])
    })
  })

  describe('immutability', () => {
    async function served(): Promise<Folder> {
      const folder = new Folder()
      folder.write('fraud/1/model.onnx')
      await folder.watch()
      await folder.settle()
      await folder.source.get(ref('fraud/1'))
      folder.events.length = 0
      return folder
    }

    it('reports other content once, with both digests, and goes on listing the version', async () => {
      const folder = await served()
      const reasons: string[] = []
      onTestFinished(folder.source.watch((event) => event.kind === 'changed' && reasons.push(event.reason)))
      folder.write('fraud/1/model.onnx', linearModel([7, 8, 9]))
      await folder.settle()
      await folder.settle()
      expect(folder.events).toEqual(['changed fraud/1'])
      expect(reasons[0]).toMatch(
        /fraud.*model\.onnx was sha256:[0-9a-f]{64} and is now sha256:[0-9a-f]{64}\. Versions are immutable/,
      )
      expect(await folder.listed()).toEqual(['fraud/1'])
    })

    it('waits until the other content is written', async () => {
      const folder = await served()
      folder.write('fraud/1/model.onnx', linearModel([7, 8, 9]).subarray(0, 40))
      await folder.source.refresh()
      appendFileSync(folder.path('fraud/1/model.onnx'), linearModel([7, 8, 9]).subarray(40))
      await folder.source.refresh()
      expect(folder.events).toEqual([])
      await folder.settle()
      expect(folder.events).toEqual(['changed fraud/1'])
    })

    it('reports it again after the original was put back in between', async () => {
      const folder = await served()
      for (const content of [linearModel([4, 5, 6]), model, linearModel([4, 5, 6])]) {
        folder.write('fraud/1/model.onnx', content)
        await folder.settle()
      }
      expect(folder.events).toEqual(['changed fraud/1', 'changed fraud/1'])
    })

    it('says nothing when the same content is written or touched again', async () => {
      const folder = await served()
      folder.write('fraud/1/model.onnx')
      await folder.settle()
      utimesSync(folder.path('fraud/1/model.onnx'), 1, 1)
      await folder.settle()
      expect(folder.events).toEqual([])
      await folder.source.get(ref('fraud/1'))
    })

    it('counts a manifest that appears, changes or disappears as other content, and other files not', async () => {
      const folder = await served()
      folder.write('fraud/1/README.md', 'notes')
      await folder.settle()
      expect(folder.events).toEqual([])
      folder.write('fraud/1/model.json', '{"labels": ["no", "yes"]}')
      await folder.settle()
      expect(folder.events).toEqual(['changed fraud/1'])
      rmSync(folder.path('fraud/1/model.json'))
      await folder.settle()
      await folder.source.get(ref('fraud/1'))
    })
  })

  describe('removal', () => {
    it('reports a version whose folder, model folder or file is gone for the settle time', async () => {
      const folder = new Folder()
      for (const path of ['a/1', 'b/1', 'b/2', 'c/1']) folder.write(`${path}/model.onnx`)
      await folder.settle()
      await folder.watch()
      folder.events.length = 0
      rmSync(folder.path('a/1'), { recursive: true })
      rmSync(folder.path('b'), { recursive: true })
      rmSync(folder.path('c/1/model.onnx'))
      await folder.source.refresh()
      expect(folder.events).toEqual([])
      folder.clock.advance(500)
      await folder.source.refresh()
      expect(folder.events.sort()).toEqual(['removed a/1', 'removed b/1', 'removed b/2', 'removed c/1'])
      expect(await folder.listed()).toEqual([])
      await expect(folder.source.get(ref('a/1'))).rejects.toMatchObject({ code: 'REGISTRY_VERSION_NOT_FOUND' })
    })

    it('takes a file that is replaced by deleting and copying for a change', async () => {
      const folder = new Folder()
      folder.write('fraud/1/model.onnx')
      await folder.watch()
      await folder.settle()
      await folder.source.get(ref('fraud/1'))
      rmSync(folder.path('fraud/1'), { recursive: true })
      await folder.source.refresh()
      folder.write('fraud/1/model.onnx', linearModel([5]))
      await folder.settle()
      expect(folder.events).toEqual(['added fraud/1', 'changed fraud/1'])
    })

    it('announces a number that comes back after it was removed', async () => {
      const folder = new Folder()
      folder.write('fraud/1/model.onnx')
      await folder.watch()
      await folder.settle()
      rmSync(folder.path('fraud'), { recursive: true })
      await folder.settle()
      folder.write('fraud/1/model.onnx')
      await folder.settle()
      expect(folder.events).toEqual(['added fraud/1', 'removed fraud/1', 'added fraud/1'])
    })

    it('finds versions in a folder that may be missing once it is there, and misses it then', async () => {
      const root = join(tempFolder(), 'models')
      const source = createFolderSource({ folder: root, platform: testPlatform(), mayBeMissing: true, settleMs: 0 })
      expect(await source.list()).toEqual([])
      mkdirSync(join(root, 'fraud/1'), { recursive: true })
      writeFileSync(join(root, 'fraud/1/model.onnx'), model)
      expect(await source.list()).toEqual([ref('fraud/1')])
      rmSync(root, { recursive: true })
      await expect(source.list()).rejects.toMatchObject({ code: 'REGISTRY_FOLDER_UNREADABLE' })
    })

    it('keeps every version while the whole folder is away, as when a disk is unmounted', async () => {
      const folder = new Folder()
      folder.write('fraud/1/model.onnx')
      await folder.watch()
      await folder.settle()
      renameSync(folder.root, `${folder.root}-away`)
      await expect(folder.source.refresh()).rejects.toMatchObject({ code: 'REGISTRY_FOLDER_UNREADABLE' })
      folder.clock.advance(10_000)
      await expect(folder.source.refresh()).rejects.toThrow()
      renameSync(`${folder.root}-away`, folder.root)
      await folder.settle()
      expect(folder.events).toEqual(['added fraud/1'])
      expect(await folder.listed()).toEqual(['fraud/1'])
    })
  })

  describe('watching', () => {
    it('reports only what list did not return', async () => {
      const folder = new Folder()
      folder.write('fraud/1/model.onnx')
      await folder.settle()
      expect(await folder.listed()).toEqual(['fraud/1'])
      folder.write('fraud/2/model.onnx')
      await folder.watch()
      await folder.settle()
      expect(folder.events).toEqual(['added fraud/2'])
    })

    it('tells every watcher, and none that stopped', async () => {
      const folder = new Folder()
      const heard: string[][] = [[], []]
      const stops = heard.map((list) => folder.source.watch(({ kind }) => list.push(kind)))
      folder.write('fraud/1/model.onnx')
      await folder.settle()
      stops[0]?.()
      folder.write('fraud/2/model.onnx')
      await folder.settle()
      stops[1]?.()
      folder.write('fraud/3/model.onnx')
      await folder.settle()
      expect(heard).toEqual([['added'], ['added', 'added']])
    })

    /** Waits for a number of events of a source on the real clock. */
    function next(events: SourceEvent[], count: number, watch: (change: (event: SourceEvent) => void) => void) {
      return new Promise<void>((resolve) =>
        watch((event) => {
          events.push(event)
          if (events.length === count) resolve()
        }),
      )
    }

    it('hears of a copy and of a removal from the file system', async () => {
      const root = tempFolder()
      const source = createFolderSource({ folder: root, platform: testPlatform(), settleMs: 20, pollMs: 3_600_000 })
      expect(await source.list()).toEqual([])
      const events: SourceEvent[] = []
      const added = next(events, 2, (change) => onTestFinished(source.watch(change)))
      // Events count only once the folder is watched, which the first look does.
      await source.refresh()
      const examples = new URL('../../examples/shop/models/', import.meta.url)
      for (const version of [1, 2])
        cpSync(new URL(`fraud/${version}/`, examples), join(root, `fraud/${version}`), { recursive: true })
      await added
      const heard = events.map(({ kind, ref }) => `${kind} ${versionKey(ref)}`)
      expect(heard.sort()).toEqual(['added fraud/1', 'added fraud/2'])
      const removed = next([], 1, (change) => onTestFinished(source.watch(change)))
      rmSync(join(root, 'fraud/1'), { recursive: true })
      await removed
      expect((await source.list()).map(versionKey)).toEqual(['fraud/2'])
    })

    it('hears of a push', async () => {
      const root = tempFolder()
      const source = createFolderSource({ folder: root, platform: testPlatform(), settleMs: 20, pollMs: 3_600_000 })
      const events: SourceEvent[] = []
      const added = next(events, 1, (change) => onTestFinished(source.watch(change)))
      await source.refresh()
      const file = join(tempFolder(), 'model.onnx')
      writeFileSync(file, model)
      const { digest } = await pushVersion({ folder: root, model: 'fraud', file })
      await added
      expect((await source.get(events[0]!.ref)).digest).toBe(digest)
      expect(readFileSync(join(root, 'fraud/1/model.onnx'))).toEqual(Buffer.from(model))
    })

    it('polls where the file system reports nothing', async () => {
      const folder = new Folder()
      await folder.watch()
      folder.write('fraud/1/model.onnx')
      // Only the clock moves from here on: each poll starts a look, and refresh queues behind it.
      for (let polls = 0; polls < 3; polls++) {
        folder.clock.advance(2000)
        await folder.source.refresh()
      }
      expect(folder.events).toEqual(['added fraud/1'])
    })
  })
})
