import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fakeManifest, tensors } from '../../../test/support/fake-backend.js'
import { onnxArtifact } from '../../../test/support/onnx-artifact.js'
import * as models from '../../../test/support/onnx-models.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { systemClock, testPlatform, type VersionRef, workerFile } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import { Batcher } from '../batcher.js'
import { createServingMetrics } from '../metrics.js'
import type { Backend } from '../types.js'
import { createOnnxBackends } from './create-onnx-backends.js'

const platform = testPlatform({ clock: systemClock })
const context = { deadline: Deadline.none(systemClock), outputs: undefined }

/** A worker that does what the real one does, ends when a run's first number is 666, and names its thread for 777. */
function mortalWorker(): URL {
  const file = join(tempFolder(), 'mortal-worker.mjs')
  const real = workerFile(import.meta.url, './onnx-worker.js')
  writeFileSync(
    file,
    `import ${JSON.stringify(real.href)}
     import { parentPort } from 'node:worker_threads'
     parentPort.on('message', ({ request }) => {
       if (request.kind === 'run' && request.inputs[0].data[0] === 666) process.exit(7)
     })`,
  )
  return pathToFileURL(file)
}

async function load(bytes: Uint8Array, instances: number, failures: VersionRef[] = []) {
  const onnx = createOnnxBackends({ threads: 1, worker: mortalWorker(), onFailure: (ref) => failures.push(ref) })
  onTestFinished(() => onnx.close())
  return onnx.load(onnxArtifact(bytes, { manifest: { instances } }), { platform })
}

const run = async (backend: Backend, ...data: number[]) => {
  const x = { name: 'x', datatype: 'FP32', shape: [1, data.length], data: Float32Array.from(data) } as const
  return Number((await backend.run(tensors(x), context)).get('y')!.data[0])
}

/** Waits for what happens on other threads. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

describe('a version with several instances', () => {
  it('runs as many batches at once, each on a thread of its own', async () => {
    const backend = await load(models.slowModel(60), 2)
    expect(backend.concurrency).toBe(2)
    expect(backend.isolation).toBe('thread')
    let isFirstDone = false
    const first = run(backend, 5, 0, 0, 0).then((answer) => {
      isFirstDone = true
      return answer
    })
    const second = run(backend, 6, 0, 0, 0)
    await until(() => isFirstDone)
    expect(await Promise.race([second.then(() => 'at once'), run(backend, 7, 0, 0, 0).then(() => 'in turn')])).toBe(
      'at once',
    )
    expect(await Promise.all([first, second])).toEqual([5, 6])
  })

  it('loses only one run to a thread that dies, goes on with the others, and fills its place', async () => {
    const failures: VersionRef[] = []
    const backend = await load(models.linearModel([2]), 2, failures)
    const results = await Promise.allSettled([run(backend, 666), run(backend, 5)])
    expect(results[0]).toMatchObject({ status: 'rejected', reason: { code: 'ONNX_THREAD_DIED', retry: true } })
    expect(results[1]).toMatchObject({ status: 'fulfilled', value: 10 })
    expect(backend.concurrency).toBe(1)
    expect(await run(backend, 6)).toBe(12)
    await until(() => backend.concurrency === 2)
    expect(await Promise.all([run(backend, 7), run(backend, 8)])).toEqual([14, 16])
    expect(failures).toEqual([])
  })

  it('asks for another load when the last thread died', async () => {
    const failures: VersionRef[] = []
    const backend = await load(models.linearModel([2]), 2, failures)
    await Promise.allSettled([run(backend, 666), run(backend, 666)])
    expect(failures.length).toBe(1)
    expect(backend.failure?.code).toBe('ONNX_THREAD_DIED')
    await expect(run(backend, 5)).rejects.toMatchObject({ code: 'ONNX_THREAD_DIED' })
  })

  it('fills its slots through the batcher, and a call that dies with its thread takes no other with it', async () => {
    const backend = await load(models.linearModel([2]), 2)
    const version = { model: 'fraud', version: 1 } as VersionRef
    const batcher = new Batcher({
      version,
      backend,
      manifest: fakeManifest({ batching: { maxBatchSize: 1, maxBatchSizeUnderPressure: 1 } }),
      clock: systemClock,
      logger: platform.logger,
      metrics: createServingMetrics(platform.metrics).bind(version),
      defer: setImmediate,
      onReadiness: () => undefined,
    })
    const call = (value: number) => {
      const x = { name: 'x', datatype: 'FP32', shape: [1, 1], data: Float32Array.of(value) } as const
      return batcher.call({ tensors: tensors(x), rows: 1, outputs: undefined }, Deadline.in(systemClock, 10_000))
    }
    const values = Array.from({ length: 40 }, (_, i) => (i === 7 ? 666 : i))
    const results = await Promise.allSettled(values.map(call))
    results.forEach((result, i) => {
      if (i === 7) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ONNX_THREAD_DIED' } })
      else expect(result.status === 'fulfilled' && result.value.outputs.get('y')!.data[0]).toBe(2 * i)
    })
  })
})
