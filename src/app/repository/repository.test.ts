import path from 'node:path'
import { expect, it } from 'vitest'
import { linearModel } from '../../../test/support/onnx-models.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { type ModelName, testPlatform, type VersionRef, versionKey } from '../../core/index.js'
import type { Pool, StagedVersion } from '../../serving/index.js'
import type { Engines } from '../engines.js'
import type { LoadedProject } from '../load-project.js'
import { Repository } from './repository.js'

it('leaves a version that comes with a load alone until that is decided, and serves it as it is when it fails', async () => {
  const folder = tempFolder()
  const ref: VersionRef = { model: 'fraud' as ModelName, version: 3 }
  const found = new Map<string, VersionRef>()
  const wanted: boolean[] = []
  const loaded: string[] = []
  const staged = { served: undefined, discard: async () => {} } as unknown as StagedVersion
  const repository: Repository = new Repository({
    project: { models: { kind: 'folder', folder }, dataDir: path.join(folder, '.data') } as LoadedProject,
    platform: testPlatform(),
    engines: { registry: () => ({ repository: new Map() }) } as unknown as Engines,
    pool: {
      status: () => undefined,
      async stage() {
        // The folder is looked at while the files are tried, or a moment later.
        found.set(versionKey(ref), ref)
        wanted.push(repository.wants(ref))
        if (wanted.length > 1) throw new Error('no memory')
        return staged
      },
    } as unknown as Pool,
    found,
    obtain: async () => ({ ref, manifest: {} }) as never,
    load: async (version) => {
      loaded.push(`${versionKey(version)} ${repository.wants(version)}`)
    },
    isCached: () => false,
  })
  const files = new Map([['3/model.onnx', linearModel([1])]])
  const loading = repository.load({ model: ref.model, config: '{}', files }, {}, { kind: 'person', name: 'me' })
  await expect(loading).rejects.toMatchObject({ code: 'REPOSITORY_LOAD_FAILED' })
  expect(wanted).toEqual([false, false])
  expect(loaded).toEqual(['fraud/3 true'])
})
