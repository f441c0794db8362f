// Pushing what other libraries save: XGBoost and LightGBM are converted, the rest is refused with what to do instead.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import type { RegisteredVersion } from '../../src/registry/index.js'
import { headrace, headraceJson, LONG, makeFolder } from './support.js'

const { folder, remove } = makeFolder([])
mkdirSync(join(folder, 'models'), { recursive: true })
afterAll(remove)
const trees = fileURLToPath(new URL('../fixtures/trees/', import.meta.url))

describe('models push', LONG, () => {
  it('converts a model of XGBoost, and show says where it came from', async () => {
    const pushed = await headraceJson(folder, 'models', 'push', 'churn', join(trees, 'xgboost-ubj.ubj'))
    expect(pushed).toMatchObject({ model: 'churn', version: 1, notices: [] })
    const version = await headraceJson<RegisteredVersion>(folder, 'models', 'show', 'churn@1')
    expect(version.files.map(({ path }) => path)).toEqual(['source.ubj'])
    expect(version.servedFiles.map(({ path }) => path).sort()).toEqual(['model.json', 'model.onnx'])
    const shown = await headraceJson(folder, 'models', 'show', 'churn')
    expect(shown).toMatchObject({
      versions: [{ state: 'ready', providers: ['cpu'], convertedFrom: { format: 'xgboost', libraryVersion: '3.2.0' } }],
    })
  })

  it('says of XGBoost that stopped early that all its rounds are served', async () => {
    const { notices } = (await headraceJson(
      folder,
      'models',
      'push',
      'early',
      join(trees, 'xgboost-stopped-early.json'),
    )) as {
      notices: string[]
    }
    expect(notices.join()).toMatch(/round 1 of 4 was the best.*save booster\[: 2\]/)
  })

  it('refuses a SavedModel and TorchScript, and points to a remote server', async () => {
    mkdirSync(join(folder, 'saved'))
    writeFileSync(join(folder, 'saved/saved_model.pb'), '')
    const saved = await headrace(folder, 'models', 'push', 'tf', 'saved')
    expect(saved.stderr).toContain('it is a TensorFlow SavedModel')
    expect(saved.stderr).toContain('--remote grpc://')
    writeFileSync(join(folder, 'script.pt'), 'PK\x03\x04 model/data.pkl')
    const torch = await headrace(folder, 'models', 'push', 'torch', 'script.pt')
    expect(torch.stderr).toContain('TorchScript')
    expect(torch.stderr).toContain('--remote grpc://')
  })
})
