// Versions in real child processes, which are killed, stopped and made to crash.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { backendContract } from '../../../test/contract/backend.js'
import { fakeArtifact, tensors } from '../../../test/support/fake-backend.js'
import { type OnnxArtifactParts, onnxArtifact } from '../../../test/support/onnx-artifact.js'
import * as models from '../../../test/support/onnx-models.js'
import { scriptArtifact } from '../../../test/support/script-artifact.js'
import { type HeadraceError, type Logger, silentLogger, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { DataOf, DataType, Tensor, TensorMap, VersionArtifact } from '../../tensor/index.js'
import type { Backend } from '../types.js'
import { createProcessBackends } from './create-process-backends.js'

interface Line {
  readonly message: string
  readonly fields: Record<string, unknown>
}

/** Process ids as they were started, and what was logged. */
const lines: Line[] = []
const logger: Logger = {
  ...silentLogger,
  info: (fields, message) => void lines.push({ message, fields: fields as Line['fields'] }),
  warn: (fields, message) => void lines.push({ message, fields: fields as Line['fields'] }),
  error: (fields, message) => void lines.push({ message, fields: fields as Line['fields'] }),
  child: () => logger,
}
const platform = { ...testPlatform({ logger }), clock: systemClock }
const processes = createProcessBackends({ onnx: { threads: 1 } })
afterAll(() => processes.close())

const context = { deadline: Deadline.none(systemClock), outputs: undefined }
let groups = 0

/** In a group of its own unless one is given. */
async function load(artifact: VersionArtifact, group = `g${++groups}`): Promise<Backend> {
  const manifest = { ...artifact.manifest, isolation: 'process' as const, group: artifact.manifest.group ?? group }
  const backend = await processes.load({ ...artifact, manifest }, { platform })
  onTestFinished(() => backend.close())
  return backend
}

const onnx = (bytes: Uint8Array, parts: OnnxArtifactParts = {}, group?: string) =>
  load(onnxArtifact(bytes, parts), group)

function tensor<D extends DataType>(name: string, datatype: D, shape: readonly number[], data: DataOf[D]): Tensor {
  return { name, datatype, shape, data }
}

function pids(group: string): number[] {
  return lines
    .filter(({ message, fields }) => message === 'a process with models was started' && fields['group'] === group)
    .map(({ fields }) => fields['process'] as number)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Its next news: why it is down, or undefined when it is up. */
function nextHealth(backend: Backend): Promise<string | undefined> {
  return new Promise((resolve) => backend.onHealth!(resolve))
}

async function refusal(promise: Promise<unknown>): Promise<HeadraceError> {
  return promise.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: HeadraceError) => error,
  )
}

const x = (...values: number[]): TensorMap =>
  tensors(tensor('x', 'FP32', [1, values.length], Float32Array.from(values)))

describe('a version in a process', () => {
  backendContract(async () => {
    const artifact = onnxArtifact(models.doublerModel(), { manifest: { isolation: 'process', group: `g${++groups}` } })
    const backend = await processes.load(artifact, { platform })
    expect(backend.isolation).toBe('process')
    return { backend, poison: tensors(tensor('x', 'FP32', [1, 1, 1], Float32Array.of(1))) }
  })

  const SAMPLES: { readonly [D in DataType]: DataOf[D] } = {
    BOOL: Uint8Array.of(0, 1, 1, 0),
    UINT8: Uint8Array.of(0, 1, 254, 255),
    UINT16: Uint16Array.of(0, 1, 65534, 65535),
    UINT32: Uint32Array.of(0, 1, 2 ** 32 - 2, 2 ** 32 - 1),
    UINT64: BigUint64Array.of(0n, 1n, 2n ** 53n + 1n, 2n ** 64n - 1n),
    INT8: Int8Array.of(-128, -1, 0, 127),
    INT16: Int16Array.of(-32768, -1, 0, 32767),
    INT32: Int32Array.of(-(2 ** 31), -1, 0, 2 ** 31 - 1),
    INT64: BigInt64Array.of(-(2n ** 63n), -1n, 2n ** 53n + 1n, 2n ** 63n - 1n),
    FP16: Uint16Array.of(0x8000, 0x3c00, 0x0001, 0x7c00),
    BF16: Uint16Array.of(0x8000, 0x3f80, 0x0001, 0x7f80),
    FP32: Float32Array.of(-0, Math.fround(0.1), 2 ** -149, Number.NEGATIVE_INFINITY),
    FP64: Float64Array.of(-0, 0.1, 5e-324, Number.NaN),
    BYTES: ['', 'é😀\ufeff', 'a b', '\u{10ffff}'].map((text) => Buffer.from(text)),
  }

  it('carries every datatype there and back, bit for bit', async () => {
    for (const datatype of Object.keys(SAMPLES) as DataType[]) {
      const backend = await onnx(models.identityModel(datatype), {}, 'datatypes')
      const data = SAMPLES[datatype]
      const { shape, data: back } = (await backend.run(tensors(tensor('x', datatype, [1, 4], data)), context)).get('y')!
      expect(shape).toEqual([1, 4])
      expect(back, datatype).toEqual(data)
    }
    expect(pids('datatypes')).toHaveLength(1)
  })

  it('carries 100 MB, and hands every chunk on as it comes', async () => {
    const backend = await onnx(models.identityModel('FP32', ['rows', 'columns']))
    const data = new Float32Array(25_000_000)
    for (let i = 0; i < data.length; i += 1000) data[i] = i
    const back = (await backend.run(tensors(tensor('x', 'FP32', [5, 5_000_000], data)), context)).get('y')!.data
    expect(back.length).toBe(data.length)
    for (let i = 0; i < data.length; i += 1000) expect(back[i] === data[i]).toBe(true)
  })

  it('runs scripts, too', async () => {
    const backend = await load(
      scriptArtifact(`import { defineScript } from 'headrace'
        export default defineScript({ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, row: ({ x }) => ({ y: x + 1 }) })`),
    )
    expect(
      (await backend.run(tensors(tensor('x', 'FP32', [2], Float32Array.of(1, 2))), context)).get('y')!.data,
    ).toEqual(Float32Array.of(2, 3))
  })

  it('refuses a kind that runs nothing here', async () => {
    expect(await refusal(load(fakeArtifact('far', 1, { backend: 'remote' })))).toMatchObject({
      code: 'MODEL_PROCESS_BACKEND_UNSUPPORTED',
      status: 422,
    })
  })

  it('says what its backend says of a file that is no model, and leaves no process behind', async () => {
    expect(await refusal(onnx(new Uint8Array(9), {}, 'corrupt'))).toMatchObject({
      code: 'ONNX_FILE_CORRUPT',
      status: 422,
    })
    const [pid] = pids('corrupt')
    await expect.poll(() => isAlive(pid!)).toBe(false)
  })
})

describe('a group', () => {
  it('shares a process, and another version comes and goes without touching the first', async () => {
    const first = await onnx(models.linearModel([1]), { version: 1 }, 'shared')
    const second = await onnx(models.linearModel([2]), { version: 2 }, 'shared')
    expect((await second.run(x(3), context)).get('y')!.data).toEqual(Float32Array.of(6))
    await second.close()
    expect((await first.run(x(3), context)).get('y')!.data).toEqual(Float32Array.of(3))
    expect(pids('shared')).toHaveLength(1)
    expect(isAlive(pids('shared')[0]!)).toBe(true)
  })

  it('ends its process with its last version, and is forgotten by the metrics', async () => {
    const backend = await onnx(models.linearModel([1]), {}, 'last')
    expect(await platform.metrics.expose()).toContain('ml_process_up{group="last"} 1')
    await backend.close()
    expect(isAlive(pids('last')[0]!)).toBe(false)
    expect(await platform.metrics.expose()).not.toContain('group="last"')
  })

  it('has as many processes as instances', async () => {
    const backend = await onnx(models.linearModel([1]), { manifest: { instances: 2 } }, 'two')
    expect(backend.concurrency).toBe(2)
    expect(new Set(pids('two')).size).toBe(2)
  })

  it('knows what its process takes', async () => {
    const backend = await onnx(models.mlpModel({ inputs: 64, hidden: [1600, 1600], outputs: 8, seed: 1 }))
    expect(backend.memoryBytes()).toBeGreaterThan(10e6)
    expect(backend.memoryBytes()).toBeLessThan(300e6)
  })
})

describe('a process that ends', () => {
  it('is noticed at once and says so, and is there again with its versions', async () => {
    const backend = await onnx(models.linearModel([2]), {}, 'killed')
    const beside = await onnx(models.linearModel([3]), { version: 2 }, 'killed')
    const down = nextHealth(backend)
    const startMs = performance.now()
    process.kill(pids('killed')[0]!, 'SIGKILL')
    expect(await down).toContain('ended by SIGKILL')
    // By its end, not by what it leaves unanswered.
    expect(performance.now() - startMs).toBeLessThan(10_000)
    expect(backend.refusal).toContain('started again')
    expect(await nextHealth(backend)).toBeUndefined()
    expect((await backend.run(x(2), context)).get('y')!.data).toEqual(Float32Array.of(4))
    expect((await beside.run(x(2), context)).get('y')!.data).toEqual(Float32Array.of(6))
    expect(pids('killed')).toHaveLength(2)
    expect(await platform.metrics.expose()).toContain('ml_process_restarts_total{group="killed"} 1')
  })

  it.each(['SIGABRT', 'SIGSEGV', 'SIGKILL'] as const)('fails the run under way when %s ends it', async (signal) => {
    const group = `mid-run ${signal}`
    const backend = await load(
      scriptArtifact(`import { defineScript } from 'headrace'
        const x = { datatype: 'FP32', shape: [-1, 4] }
        export default defineScript({ inputs: { x }, outputs: { y: x },
          run: ({ inputs: { x } }) => (x.data[0] === 0 ? { y: x.data } : new Promise(() => {})), timeoutMs: 30_000 })`),
      group,
    )
    const run = refusal(backend.run(x(1, 2, 3, 4), context))
    setTimeout(() => process.kill(pids(group)[0]!, signal), 50)
    const error = await run
    expect(error).toMatchObject({ code: 'MODEL_PROCESS_ENDED', status: 503, retry: true })
    expect(error.message).toContain(signal)
  })

  it('lets a run wait for the next process when its deadline allows, and refuses it at once when not', async () => {
    const backend = await onnx(models.linearModel([2]), {}, 'waiting')
    const down = nextHealth(backend)
    process.kill(pids('waiting')[0]!, 'SIGKILL')
    await down
    const short = await refusal(backend.run(x(1), { ...context, deadline: Deadline.in(systemClock, 1) }))
    expect(short).toMatchObject({ code: 'MODEL_PROCESS_DOWN', status: 503, retry: true })
    expect(short.params['retryAfterMs']).toBeGreaterThan(1)
    const long = await backend.run(x(1), { ...context, deadline: Deadline.in(systemClock, 20_000) })
    expect(long.get('y')!.data).toEqual(Float32Array.of(2))
  })

  it('takes nobody along of another instance', async () => {
    const backend = await onnx(models.linearModel([2]), { manifest: { instances: 2 } }, 'pair')
    let isDown = false
    backend.onHealth!(() => {
      isDown = true
    })
    process.kill(pids('pair')[0]!, 'SIGKILL')
    // Looked at in every turn: it is there again soon.
    while (backend.concurrency === 2) await nextTurn()
    expect(backend.concurrency).toBe(1)
    expect((await backend.run(x(2), context)).get('y')!.data).toEqual(Float32Array.of(4))
    await expect.poll(() => backend.concurrency).toBe(2)
    expect(isDown).toBe(false)
  })

  it('is killed when a run takes longer than its limit, also one that was stopped by a signal', async () => {
    const backend = await onnx(models.linearModel([2]), { manifest: { timeoutMs: 2000 } }, 'stopped')
    process.kill(pids('stopped')[0]!, 'SIGSTOP')
    const error = await refusal(backend.run(x(1), context))
    expect(error).toMatchObject({ code: 'MODEL_PROCESS_ENDED' })
    expect(error.message).toContain('longer than its limit of 2000 ms')
    expect((await backend.run(x(1), context)).get('y')!.data).toEqual(Float32Array.of(2))
  })

  it('that ends while it loads is tried once more, and then refused', async () => {
    const artifact = scriptArtifact('process.kill(process.pid, "SIGSEGV")')
    const error = await refusal(load(artifact, 'loading'))
    expect(error).toMatchObject({ code: 'MODEL_PROCESS_LOAD_ENDED', status: 422 })
    expect(error.message).toContain('SIGSEGV')
    expect(pids('loading')).toHaveLength(2)
  })

  it('that prints has its lines in the log', async () => {
    const backend = await load(
      scriptArtifact(`import { defineScript } from 'headrace'
        export default defineScript({ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, row({ x }) { process.stderr.write('last words\\n'); return { y: x } } })`),
    )
    await backend.run(tensors(tensor('x', 'FP32', [1], Float32Array.of(1))), context)
    await expect.poll(() => lines.some(({ fields }) => fields['line'] === 'last words')).toBe(true)
  })
})
