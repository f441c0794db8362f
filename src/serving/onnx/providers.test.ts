import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { tensors } from '../../../test/support/fake-backend.js'
import { onnxArtifact } from '../../../test/support/onnx-artifact.js'
import { linearModel } from '../../../test/support/onnx-models.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { ExecutionProvider } from '../../tensor/index.js'
import { createOnnxBackends } from './create-onnx-backends.js'
import { fail } from './failure.js'
import { placeOf } from './placement.js'
import { machineFolders, missingLibraries, withProviders } from './providers.js'
import { OnnxSession } from './session.js'

const platform = testPlatform()
const provider = (name: ExecutionProvider['name'], options = {}): ExecutionProvider => ({ name, options })
const gpuIsThere = missingLibraries('cuda').length === 0

/** What a session hands to ONNX Runtime, and what that answers. */
async function opened(providers: readonly ExecutionProvider[], refuse?: string): Promise<Record<string, unknown>> {
  let options: Record<string, unknown> = {}
  class InferenceSession {
    loadModel(_buffer: ArrayBuffer, _at: number, _length: number, given: Record<string, unknown>) {
      options = given
      if (refuse !== undefined) throw new Error(refuse)
    }
  }
  const runtime = Promise.resolve({ binding: { InferenceSession } }) as never
  await OnnxSession.create({ bytes: new Uint8Array(1), inputs: [], outputs: [], folder: '', providers }, runtime)
  return options
}

describe('execution providers', () => {
  it('reach the runtime in order, with the number of the GPU', async () => {
    const { executionProviders } = await opened([
      provider('tensorrt', { device_id: 1 }),
      provider('cuda', { deviceId: '2' }),
      provider('cpu'),
    ])
    expect(executionProviders).toEqual([{ name: 'tensorrt', deviceId: 1 }, { name: 'cuda', deviceId: 2 }, 'cpu'])
  })

  it('refuse options that the runtime would ignore', async () => {
    await expect(opened([provider('tensorrt', { trt_fp16_enable: true })])).rejects.toMatchObject({
      failure: { key: 'PROVIDER_OPTION_UNKNOWN', params: { provider: 'tensorrt', option: 'trt_fp16_enable' } },
    })
    await expect(opened([provider('cpu', { deviceId: 0 })])).rejects.toMatchObject({
      failure: { key: 'PROVIDER_OPTION_UNKNOWN' },
    })
    await expect(opened([provider('cuda', { deviceId: -1 })])).rejects.toMatchObject({
      failure: { key: 'PROVIDER_OPTION_INVALID' },
    })
  })

  it('are passed over one after the other, and what is left is used', async () => {
    const tried: string[] = []
    const all = [provider('tensorrt'), provider('cuda'), provider('cpu')]
    const found = await withProviders(all, async (providers) => {
      tried.push(providers.map(({ name }) => name).join())
      if (providers.some(({ name }) => name === 'tensorrt')) {
        throw fail('MODEL_REFUSED', { reason: 'OrtSessionOptionsAppendExecutionProvider_TensorRT: Failed to load' })
      }
      if (providers.some(({ name }) => name === 'cuda')) {
        throw fail('MODEL_REFUSED', { reason: 'CUDA failure 100: no CUDA-capable device is detected' })
      }
      return 'session'
    })
    expect(tried).toEqual(['tensorrt,cuda,cpu', 'cuda,cpu', 'cpu'])
    expect(found).toMatchObject({ opened: 'session', providers: [{ name: 'cpu' }] })
    expect(found.passedOver.map(({ name }) => name)).toEqual(['tensorrt', 'cuda'])
  })

  it('are not blamed for a model that is at fault', async () => {
    const open = async () => {
      throw fail('MODEL_REFUSED', { reason: 'No opset import for domain' })
    }
    await expect(withProviders([provider('cuda'), provider('cpu')], open)).rejects.toMatchObject({
      failure: { key: 'MODEL_REFUSED' },
    })
  })

  it('name each library that is not where it is looked for', () => {
    const folder = tempFolder()
    mkdirSync(join(folder, 'lib'))
    for (const name of ['libcuda.so.1', 'libcudart.so.12', 'libcublas.so.12'])
      writeFileSync(join(folder, 'lib', name), '')
    const folders = { platform: 'linux/x64', package: folder, system: [join(folder, 'lib')] }
    expect(missingLibraries('cuda', folders)).toEqual([
      `libonnxruntime_providers_shared.so is not in ${folder}`,
      `libonnxruntime_providers_cuda.so is not in ${folder}`,
      'libcudnn.so.9 of cuDNN 9 was not found',
    ])
    expect(missingLibraries('tensorrt', folders)).toContain('libnvinfer.so.10 of TensorRT 10 was not found')
    expect(missingLibraries('cuda', { ...folders, platform: 'darwin/arm64' })).toEqual([
      'onnxruntime-node has no cuda for darwin/arm64',
    ])
    expect(missingLibraries('cpu')).toEqual([])
    expect(machineFolders().package).toContain('onnxruntime-node')
  })

  it('with a GPU never share a thread, and never run on the main one', () => {
    const quick = { createMs: 1, largestBatchMs: 0.1, isBounded: true }
    for (const isolation of ['auto', 'inline', 'thread'] as const)
      expect(placeOf(isolation, quick, true)).toBe('dedicated')
  })
})

describe.skipIf(gpuIsThere)('on a machine without a GPU', () => {
  const onnx = createOnnxBackends({ threads: 1, providers: [provider('cuda')] })
  afterAll(() => onnx.close())

  it('a version that insists on one is not loaded, and the error says what is missing', async () => {
    const error = await onnx.load(onnxArtifact(linearModel([1])), { platform }).catch((error) => error)
    expect(error).toMatchObject({ code: 'ONNX_PROVIDER_UNAVAILABLE' })
    expect(error.message).toContain('libonnxruntime_providers_cuda.so is not in')
    expect(error.message).toContain('ONNXRUNTIME_NODE_INSTALL=cuda12')
  })

  it('a version that also takes the CPU runs there, with a warning', async () => {
    const warnings: string[] = []
    const logger = { ...platform.logger, warn: (_: object, message: string) => warnings.push(message) }
    const providers = [provider('tensorrt'), provider('cuda'), provider('cpu')]
    const artifact = onnxArtifact(linearModel([2]), { manifest: { providers } })
    const backend = await onnx.load(artifact, { platform: { ...platform, logger } as never })
    expect(backend.providers).toEqual(['cpu'])
    expect(warnings).toEqual([
      'fraud/1 runs on cpu: the execution provider "tensorrt" is not there',
      'fraud/1 runs on cpu: the execution provider "cuda" is not there',
    ])
    const input = { name: 'x', datatype: 'FP32' as const, shape: [1, 1], data: Float32Array.of(3) }
    const outputs = await backend.run(tensors(input), { deadline: Deadline.none(systemClock), outputs: undefined })
    expect([...outputs.values()][0]!.data[0]).toBe(6)
    await backend.close()
  })
})
