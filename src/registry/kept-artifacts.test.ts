import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { onnxArtifact } from '../../test/support/onnx-artifact.js'
import { buildModel, doublerModel, externalInitializer, node, value } from '../../test/support/onnx-models.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { testPlatform } from '../core/index.js'
import { createKeptArtifacts } from './kept-artifacts.js'

function setUp(maxBytes = 1_000_000) {
  const folder = join(tempFolder(), 'artifacts')
  return { folder, kept: createKeptArtifacts({ folder, platform: testPlatform(), maxBytes }) }
}

describe('copies of artifacts', () => {
  it('are found when the file is gone or another, and not while it is what it was', async () => {
    const { kept, folder } = setUp()
    const artifact = onnxArtifact(doublerModel())
    expect(await kept.find(artifact)).toBe(undefined)
    await kept.keep(artifact)
    expect(await kept.find(artifact)).toBe(undefined)
    writeFileSync(artifact.file, 'nonsense')
    const copy = await kept.find(artifact)
    expect(copy?.file.startsWith(folder)).toBe(true)
    expect(copy?.digest).toBe(artifact.digest)
    rmSync(artifact.file)
    expect(await kept.find(artifact)).toEqual(copy)
  })

  it('have the files beside the model that hold its tensors', async () => {
    const { kept } = setUp()
    const artifact = onnxArtifact(
      buildModel({
        inputs: [value('x', 'FP32', ['rows', 2])],
        outputs: [value('y', 'FP32', ['rows', 2])],
        nodes: [node('Add', ['x', 'w'], ['y'])],
        initializers: [externalInitializer('w', [2], 'weights/w.bin')],
      }),
    )
    const weights = join(dirname(artifact.file), 'weights/w.bin')
    mkdirSync(dirname(weights))
    writeFileSync(weights, Buffer.alloc(8, 1))
    await kept.keep(artifact)
    writeFileSync(weights, Buffer.alloc(8, 2))
    const copy = await kept.find(artifact)
    expect(existsSync(join(dirname(copy!.file), 'weights/w.bin'))).toBe(true)
  })

  it('go with the last version that is of their file, and with a start that knows none', async () => {
    const { kept, folder } = setUp()
    const first = onnxArtifact(doublerModel(), { model: 'a' })
    const second = { ...first, ref: { ...first.ref, version: 2 } }
    await kept.keep(first)
    await kept.keep(second)
    await kept.forget(first)
    expect(readdirSync(folder).length).toBe(1)
    await kept.forget(second)
    expect(readdirSync(folder)).toEqual([])
    await kept.keep(first)
    await kept.prune(new Set([first.digest]))
    expect(readdirSync(folder).length).toBe(1)
    await kept.prune(new Set())
    expect(readdirSync(folder)).toEqual([])
  })

  it('are not made of what does not fit, of scripts, or of a file that is not what was loaded', async () => {
    const small = setUp(10)
    await small.kept.keep(onnxArtifact(doublerModel()))
    const { kept, folder } = setUp()
    await kept.keep({ ...onnxArtifact(doublerModel()), backend: 'script' })
    await kept.keep({ ...onnxArtifact(doublerModel()), digest: `sha256:${'0'.repeat(64)}` as never })
    for (const place of [small.folder, folder]) expect(existsSync(place) ? readdirSync(place) : []).toEqual([])
  })
})
