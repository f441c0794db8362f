import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { tensors } from '../../../test/support/fake-backend.js'
import { onnxArtifact } from '../../../test/support/onnx-artifact.js'
import { buildModel, initializer, linearModel, node, value } from '../../../test/support/onnx-models.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import { createOnnxBackends, type OnnxBackends } from './create-onnx-backends.js'
import { GraphCache } from './graph-cache.js'
import { CPU } from './providers.js'

const platform = testPlatform()
const open: OnnxBackends[] = []
afterEach(async () => {
  for (const backends of open.splice(0)) await backends.close()
})

/** x + nodes × step: a chain that the optimiser can do nothing about. */
function chainModel(nodes: number, step = 1): Uint8Array {
  const chain = Array.from({ length: nodes }, (_, i) =>
    node(i % 2 ? 'Add' : 'Sub', [`v${i}`, `c${i % 2}`], [`v${i + 1}`]),
  )
  return buildModel({
    inputs: [value('v0', 'FP32', ['rows', 2])],
    outputs: [value(`v${nodes}`, 'FP32', ['rows', 2])],
    nodes: chain,
    initializers: [
      initializer('c1', 'FP32', [1], Float32Array.of(2 * step)),
      initializer('c0', 'FP32', [1], Float32Array.of(step)),
    ],
  })
}

async function answer(folder: string, artifact: VersionArtifact, maxBytes = 1e9): Promise<number> {
  const onnx = createOnnxBackends({ threads: 1, graphCache: { folder, maxBytes } })
  open.push(onnx)
  const backend = await onnx.load(artifact, { platform })
  const { name } = backend.signature.inputs[0]!
  const input = { name, datatype: 'FP32' as const, shape: [1, 2], data: Float32Array.of(0, 0) }
  const outputs = await backend.run(tensors(input), { deadline: Deadline.none(systemClock), outputs: undefined })
  await backend.close()
  return Number([...outputs.values()][0]!.data[0])
}

describe('the cache of optimised graphs', () => {
  it('is written by the first load and read by the next, which answers the same', async () => {
    const folder = join(tempFolder(), 'onnx-cache')
    for (const isolation of ['inline', 'thread'] as const) {
      const artifact = onnxArtifact(chainModel(300), { manifest: { isolation } })
      expect(await answer(folder, artifact)).toBe(150)
      const [file, ...others] = readdirSync(folder)
      expect(others).toEqual([])
      const written = statSync(join(folder, file!)).mtimeMs
      expect(await answer(folder, artifact)).toBe(150)
      expect(readdirSync(folder)).toEqual([file])
      expect(statSync(join(folder, file!)).mtimeMs).toBeGreaterThanOrEqual(written)
    }
  })

  it('is really what later loads open: another graph in its place is what answers', async () => {
    const folder = join(tempFolder(), 'onnx-cache')
    const artifact = onnxArtifact(chainModel(300), { manifest: { isolation: 'thread' } })
    await answer(folder, artifact)
    const [kept] = readdirSync(folder)
    const other = join(tempFolder(), 'onnx-cache')
    await answer(other, onnxArtifact(chainModel(300, 3)))
    writeFileSync(join(folder, kept!), readFileSync(join(other, readdirSync(other)[0]!)))
    expect(await answer(folder, artifact)).toBe(450)
  })

  it.each([
    ['cut off', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ['changed in one byte', (bytes: Buffer) => bytes.fill(7, 100, 101)],
    ['empty', () => Buffer.alloc(0)],
  ])('is made anew when it was %s', async (_, damage) => {
    const folder = join(tempFolder(), 'onnx-cache')
    const artifact = onnxArtifact(chainModel(300))
    await answer(folder, artifact)
    const file = join(folder, readdirSync(folder)[0]!)
    const whole = readFileSync(file)
    writeFileSync(file, damage(Buffer.from(whole)))
    expect(await answer(folder, artifact)).toBe(150)
    expect(readFileSync(file).length).toBe(whole.length)
  })

  it('is made anew when the runtime refuses it', async () => {
    const folder = join(tempFolder(), 'onnx-cache')
    const artifact = onnxArtifact(chainModel(300))
    await answer(folder, artifact)
    const [name] = readdirSync(folder)
    const cache = new GraphCache({ folder, maxBytes: 1e9 }, 0)
    const written = await cache.reserve()
    writeFileSync(written, 'no graph at all')
    await cache.keep(name!.replace('.graph', ''), written)
    expect(await answer(folder, artifact)).toBe(150)
    expect(await answer(folder, artifact)).toBe(150)
    expect(statSync(join(folder, name!)).size).toBeGreaterThan(1000)
  })

  it('holds nothing of models with few nodes', async () => {
    const folder = join(tempFolder(), 'onnx-cache')
    await answer(folder, onnxArtifact(linearModel([1, 2])))
    expect(() => readdirSync(folder)).toThrow('ENOENT')
  })

  it('drops what was used longest ago when it is full', async () => {
    const folder = join(tempFolder(), 'onnx-cache')
    const cache = new GraphCache({ folder, maxBytes: 2_200 }, Date.now())
    const keep = async (key: string, usedSeconds: number) => {
      const written = await cache.reserve()
      writeFileSync(written, Buffer.alloc(1_000))
      await cache.keep(key, written)
      utimesSync(join(folder, `${key}.graph`), usedSeconds, usedSeconds)
    }
    await keep('a', 10)
    await keep('b', 20)
    expect(await cache.read('a')).toHaveLength(1_000)
    await keep('c', 30)
    expect(readdirSync(folder).sort()).toEqual(['a.graph', 'c.graph'])
  })

  it('has another graph for another runtime and other providers', async () => {
    const cache = new GraphCache({ folder: tempFolder(), maxBytes: 1 }, 0)
    const keys = await Promise.all([
      cache.key('sha256:a', '1.30.0', [CPU]),
      cache.key('sha256:b', '1.30.0', [CPU]),
      cache.key('sha256:a', '1.31.0', [CPU]),
      cache.key('sha256:a', '1.30.0', [{ name: 'cuda', options: {} }, CPU]),
    ])
    expect(new Set(keys).size).toBe(4)
  })

  it('that cannot be written does not keep a version from being served', async () => {
    const file = join(tempFolder(), 'a-file')
    writeFileSync(file, '')
    expect(await answer(join(file, 'onnx-cache'), onnxArtifact(chainModel(300)))).toBe(150)
  })
})
