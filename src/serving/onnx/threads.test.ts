import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tensors } from '../../../test/support/fake-backend.js'
import { type OnnxArtifactParts, onnxArtifact } from '../../../test/support/onnx-artifact.js'
import * as models from '../../../test/support/onnx-models.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { type HeadraceError, systemClock, testPlatform, type VersionRef, workerFile } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { OnnxBackend } from './backend.js'
import { createOnnxBackends, type OnnxBackendsOptions } from './create-onnx-backends.js'

const platform = testPlatform()
const context = { deadline: Deadline.none(systemClock), outputs: undefined }

function setUp(options: OnnxBackendsOptions = {}) {
  const onnx = createOnnxBackends({ threads: 2, ...options })
  onTestFinished(() => onnx.close())
  const load = (bytes: Uint8Array, parts?: OnnxArtifactParts) => onnx.load(onnxArtifact(bytes, parts), { platform })
  return { onnx, load }
}

const input = (...data: number[]) =>
  tensors({ name: 'x', datatype: 'FP32', shape: [1, data.length], data: Float32Array.from(data) })
const run = async (backend: OnnxBackend, ...data: number[]) =>
  Number((await backend.run(input(...data), context)).get('y')!.data[0])

/** A worker that does what the real one does, and ends when a run's first number is 666. */
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

describe('where a version runs', () => {
  it('is the main thread for a tiny model, a thread for a slow one, unless the manifest says', async () => {
    const { load } = setUp()
    const tiny = await load(models.linearModel([1]))
    expect(tiny.isolation).toBe('inline')
    expect(tiny.warmUp.largestBatchMs).toBeLessThan(0.5)
    const slow = await load(models.slowModel(20))
    expect(slow.isolation).toBe('thread')
    expect(slow.warmUp.largestBatchMs).toBeGreaterThan(0.5)
    expect((await load(models.linearModel([1]), { manifest: { isolation: 'thread' } })).isolation).toBe('thread')
    expect((await load(models.slowModel(1), { manifest: { isolation: 'inline' } })).isolation).toBe('inline')
  })

  it('is a thread for a model whose inputs may be larger than any that was measured', async () => {
    const { load } = setUp()
    expect((await load(models.doublerModel())).isolation).toBe('thread')
    expect((await load(models.rowMixingModel())).isolation).toBe('thread')
    expect((await load(models.constantBatchModel())).isolation).toBe('inline')
    const manifest = { batching: { enabled: false } }
    expect((await load(models.linearModel([1]), { manifest })).isolation).toBe('thread')
  })

  it('is shared by quick versions, which answer rightly however many there are', async () => {
    const { load } = setUp()
    const backends = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((weight) => load(models.linearModel([weight]), { manifest: { isolation: 'thread' } })),
    )
    const answers = await Promise.all(backends.map((backend) => run(backend, 10)))
    expect(answers).toEqual([10, 20, 30, 40, 50, 60])
    await backends[0]!.close()
    expect(await run(backends[2]!, 10)).toBe(30)
  })

  it('keeps slow versions from delaying anybody', async () => {
    const { load } = setUp({ threads: 1 })
    const quick = await load(models.linearModel([2]), { manifest: { isolation: 'thread' } })
    const slow = [await load(models.slowModel(150)), await load(models.slowModel(150))]
    // One good try proves it: the machine may be busy with something else.
    const race = async () => {
      const order: string[] = []
      const slowRuns = slow.map((backend) => run(backend, 1, 2, 3, 4).then(() => order.push('slow')))
      for (let i = 0; i < 3; i++) await run(quick, 1)
      order.push('quick')
      await Promise.all(slowRuns)
      return order
    }
    await expect.poll(race).toEqual(['quick', 'slow', 'slow'])
  })

  it('keeps a load from delaying the versions that serve', async () => {
    const { load } = setUp({ threads: 1 })
    const quick = await load(models.linearModel([2]), { manifest: { isolation: 'thread' } })
    const loading = load(models.slowModel(150))
    let runs = 0
    let isLoaded = false
    void loading.then(() => {
      isLoaded = true
    })
    while (!isLoaded) {
      await run(quick, 1)
      runs++
    }
    // Behind the load there would be one.
    expect(runs).toBeGreaterThan(3)
  })
})

describe('closing', () => {
  it('in mid-run lets the run finish, then refuses', async () => {
    const { load, onnx } = setUp()
    const slow = await load(models.slowModel(100))
    const running = run(slow, 7, 0, 0, 0)
    await onnx.close()
    expect(await running).toBe(7)
    await expect(run(slow, 1, 2, 3, 4)).rejects.toMatchObject({ code: 'ONNX_CLOSED', status: 503, retry: true })
    await expect(load(models.linearModel([1]))).rejects.toMatchObject({ code: 'ONNX_CLOSED' })
  })

  it('while versions load refuses those that have not begun and closes the others', async () => {
    const { load, onnx } = setUp()
    const loads = [1, 2, 3].map((weight) =>
      load(models.linearModel([weight])).then(
        () => 'loaded',
        ({ code }) => code,
      ),
    )
    await onnx.close()
    expect(await Promise.all(loads)).toEqual(['ONNX_CLOSED', 'ONNX_CLOSED', 'ONNX_CLOSED'])
  })
})

describe('a thread that dies', () => {
  it('fails its runs with an error that may be tried again, tells of its versions, and leaves the others alone', async () => {
    const failures: [VersionRef, HeadraceError][] = []
    const { load } = setUp({
      worker: mortalWorker(),
      onFailure: (ref, error) => failures.push([ref, error]),
      threads: 1,
    })
    const manifest = { isolation: 'thread' } as const
    const doomed = await load(models.linearModel([2]), { version: 1, manifest })
    const beside = await load(models.linearModel([3]), { version: 2, manifest })
    const elsewhere = await load(models.slowModel(30), { version: 3 })
    expect(await run(doomed, 5)).toBe(10)

    const runs = [run(doomed, 666), run(doomed, 5), run(beside, 5)]
    for (const result of await Promise.allSettled(runs)) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { code: 'ONNX_THREAD_DIED', status: 503, retry: true },
      })
    }
    expect(failures.map(([ref]) => ref.version).sort()).toEqual([1, 2])
    expect(failures[0]![1].message).toContain('it exited with code 7')
    expect(doomed.failure).toMatchObject({ code: 'ONNX_THREAD_DIED' })
    await expect(run(beside, 5)).rejects.toMatchObject({ code: 'ONNX_THREAD_DIED' })
    expect(elsewhere.failure).toBeUndefined()
    expect(await run(elsewhere, 1, 2, 3, 4)).toBe(1)

    await doomed.close()
    await beside.close()
    const again = await load(models.linearModel([2]), { version: 1, manifest })
    expect(await run(again, 5)).toBe(10)
  })

  it('while it loads a version fails that load, and the next one gets another thread', async () => {
    const file = join(tempFolder(), 'broken-worker.mjs')
    writeFileSync(file, 'throw new Error("no memory")')
    const { load } = setUp({ worker: pathToFileURL(file) })
    for (let i = 0; i < 2; i++) {
      const loading = load(models.linearModel([1]))
      await expect(loading).rejects.toMatchObject({ code: 'ONNX_THREAD_DIED', params: { reason: 'no memory' } })
    }
  })
})
