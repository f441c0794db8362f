import { writeFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { backendContract } from '../../../test/contract/backend.js'
import { fakeArtifact, tensors } from '../../../test/support/fake-backend.js'
import { scriptArtifact } from '../../../test/support/script-artifact.js'
import { type HeadraceError, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { DataOf, DataType, Tensor, VersionArtifact } from '../../tensor/index.js'
import type { Backend } from '../types.js'
import { createScriptBackends } from './create-script-backends.js'

const platform = { ...testPlatform(), clock: systemClock }
const context = { deadline: Deadline.none(systemClock), outputs: undefined }

const scripts = createScriptBackends()

async function load(artifact: VersionArtifact): Promise<Backend> {
  const backend = await scripts.load(artifact, { platform })
  onTestFinished(() => backend.close())
  return backend
}

const script = (body: string, manifest = {}) =>
  load(scriptArtifact(`import { defineScript } from 'headrace'\nexport default defineScript(${body})`, manifest))

function tensor<D extends DataType>(name: string, datatype: D, shape: readonly number[], data: DataOf[D]): Tensor {
  return { name, datatype, shape, data }
}

const numbers = (...values: number[]) => tensors(tensor('x', 'FP32', [values.length], Float32Array.from(values)))

async function refusal(promise: Promise<unknown>): Promise<HeadraceError> {
  return promise.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: HeadraceError) => error,
  )
}

describe('a script', () => {
  backendContract(async () => {
    const backend = await scripts.load(
      scriptArtifact(`
        import { defineScript } from 'headrace'
        export default defineScript({
          inputs: { x: { datatype: 'FP32', shape: [-1, -1] } },
          outputs: { double: { datatype: 'FP32', shape: [-1, -1] }, sum: 'FP32' },
          run({ rows, inputs: { x } }) {
            if (x.data[0] === 666) throw new Error('poison')
            const width = x.data.length / rows
            const sum = new Float32Array(rows)
            x.data.forEach((value, i) => { sum[Math.floor(i / width)]! += value })
            return { double: { shape: x.shape, data: x.data.map((value) => 2 * value) }, sum }
          },
        })`),
      { platform },
    )
    expect(backend.isolation).toBe('thread')
    return { backend, poison: tensors(tensor('x', 'FP32', [1, 1], Float32Array.of(666))) }
  })

  it('answers row by row with named values of every kind', async () => {
    const backend = await script(`{
      inputs: {
        amount: { datatype: 'FP32', shape: [-1, 1] }, country: 'BYTES', isNew: 'BOOL', id: 'INT64',
        history: { datatype: 'INT32', shape: [-1, 2] },
        card: { datatype: 'FP64', shape: [-1, 2], columns: ['age', 'limit'] },
      },
      outputs: {
        label: 'INT64', sure: 'BOOL', why: 'BYTES', scores: { datatype: 'FP32', shape: [-1, 2] },
        one: { datatype: 'FP64', shape: [-1, 1] },
      },
      labels: ['fine', 'fraud'],
      row: ({ amount, country, isNew, id, history, card }) => ({
        label: id + 1, sure: isNew, why: country + ' ' + history.join('+'), scores: [amount, 1 - amount], one: card.limit - card.age,
      }),
    }`)
    expect(backend.labels).toEqual(['fine', 'fraud'])
    expect(backend.signature.inputs[5]).toEqual({ name: 'card', datatype: 'FP64', shape: [-1, 2] })
    expect(backend.signature.batchAxis).toBe(0)
    const outputs = await backend.run(
      tensors(
        tensor('amount', 'FP32', [2, 1], Float32Array.of(0.25, 0.5)),
        tensor('country', 'BYTES', [2], [Buffer.from('CH'), Buffer.from('é')]),
        tensor('isNew', 'BOOL', [2], Uint8Array.of(1, 0)),
        tensor('id', 'INT64', [2], BigInt64Array.of(41n, -1n)),
        tensor('history', 'INT32', [2, 2], Int32Array.of(1, 2, 3, 4)),
        tensor('card', 'FP64', [2, 2], Float64Array.of(1, 10, 2, 20)),
      ),
      context,
    )
    expect(outputs.get('label')).toEqual(tensor('label', 'INT64', [2], BigInt64Array.of(42n, 0n)))
    expect(outputs.get('sure')).toEqual(tensor('sure', 'BOOL', [2], Uint8Array.of(1, 0)))
    expect(outputs.get('why')).toEqual(tensor('why', 'BYTES', [2], [Buffer.from('CH 1+2'), Buffer.from('é 3+4')]))
    expect(outputs.get('scores')).toEqual(tensor('scores', 'FP32', [2, 2], Float32Array.of(0.25, 0.75, 0.5, 0.5)))
    expect(outputs.get('one')).toEqual(tensor('one', 'FP64', [2, 1], Float64Array.of(9, 18)))
  })

  it('may be asynchronous, and is a model without a batch where its shapes have no rows', async () => {
    const rows = await script(`{ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, row: async ({ x }) => ({ y: x + 1 }) }`)
    expect([...(await rows.run(numbers(1, 2), context)).get('y')!.data]).toEqual([2, 3])
    const whole = await script(`{
      inputs: { x: { datatype: 'FP32', shape: [3] } }, outputs: { y: { datatype: 'FP32', shape: [1] } },
      run: async ({ rows, inputs }) => ({ y: Float32Array.of(rows + inputs.x.data[2]) }),
    }`)
    expect(whole.signature.batchAxis).toBeNull()
    expect([...(await whole.run(numbers(1, 2, 3), context)).get('y')!.data]).toEqual([4])
  })

  it('may be plain JavaScript and use what Node has', async () => {
    const source = `
      import { createHash } from 'node:crypto'
      const salt = await Promise.resolve('s')
      export default { inputs: { x: 'FP32' }, outputs: { y: 'BYTES' },
        row: ({ x }) => ({ y: createHash('sha256').update(salt + x).digest('hex').slice(0, 4) }) }`
    for (const name of ['model.mjs', 'model.js']) {
      const backend = await load(scriptArtifact(source, {}, name))
      expect((await backend.run(numbers(1), context)).get('y')!.data).toEqual([Buffer.from('e8bc')])
    }
  })

  it('is stopped when it runs for too long, and answers the next run', async () => {
    const backend = await script(
      `{ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, timeoutMs: 100, row({ x }) { while (x === 13) {} return { y: x } } }`,
    )
    const error = await refusal(backend.run(numbers(13), context))
    expect(error).toMatchObject({ code: 'SCRIPT_RUN_TIMEOUT', status: 504, retry: true })
    expect(error.message).toContain('rule/1 ran for more than its limit of 100 ms')
    expect([...(await backend.run(numbers(7), context)).get('y')!.data]).toEqual([7])
  })

  it('is held to the timeoutMs of model.json when that is shorter', async () => {
    const backend = await script(
      `{ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, row: () => new Promise(() => {}) }`,
      { timeoutMs: 50 },
    )
    expect((await refusal(backend.run(numbers(1), context))).message).toContain('limit of 50 ms')
  })

  it('that ends its own thread fails that run alone', async () => {
    const backend = await script(
      `{ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, row({ x }) { if (x === 13) process.exit(3); return { y: x } } }`,
    )
    const error = await refusal(backend.run(numbers(13), context))
    expect(error).toMatchObject({ code: 'SCRIPT_THREAD_ENDED', status: 503, retry: true })
    expect(error.message).toContain('exited with code 3')
    expect([...(await backend.run(numbers(7), context)).get('y')!.data]).toEqual([7])
  })

  it('whose thread is killed fails the run under way and no later one', async () => {
    expect(scripts.kill('rule', undefined)).toBe(false)
    const backend = await script(
      `{ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, row: ({ x }) => x === 13 ? new Promise(() => {}) : { y: x } }`,
    )
    const hangs = refusal(backend.run(numbers(13), context))
    // By then it has been sent to the thread.
    await new Promise((resolve) => setImmediate(resolve))
    expect(scripts.kill('rule', 2)).toBe(false)
    expect(scripts.kill('rule', 1)).toBe(true)
    expect(await hangs).toMatchObject({ code: 'SCRIPT_THREAD_ENDED', status: 503 })
    expect([...(await backend.run(numbers(7), context)).get('y')!.data]).toEqual([7])
    await backend.close()
    expect(scripts.kill('rule', 1)).toBe(false)
  })

  it('says what it threw and in which line', async () => {
    const backend = await script(`{ inputs: { x: 'FP32' }, outputs: { y: 'FP32' },
      row({ x }: { x: number }) {
        if (x > 1) throw new RangeError('no such amount')
        return { y: x }
      } }`)
    const error = await refusal(backend.run(numbers(1, 2), context))
    expect(error).toMatchObject({ code: 'SCRIPT_RUN_FAILED', status: 500, retry: false })
    expect(error.message).toContain('The script of rule/1 failed: RangeError: no such amount (line 4). The same inputs')
  })

  it('gets BYTES as text, and refuses what is none', async () => {
    const backend = await script(`{ inputs: { x: 'BYTES' }, outputs: { y: 'BYTES' }, row: ({ x }) => ({ y: x }) }`)
    const bytes = tensors(tensor('x', 'BYTES', [2], [Buffer.from('a'), Buffer.of(0xff)]))
    const error = await refusal(backend.run(bytes, context))
    expect(error).toMatchObject({ code: 'SCRIPT_INPUT_NOT_TEXT', status: 400 })
    expect(error.message).toContain('Element 1 of the input "x"')
  })
})

describe('loading a script', () => {
  const terms = `inputs: { x: 'FP32' }, outputs: { y: 'FP32' }`

  it('says why a script is refused', async () => {
    const error = await refusal(load(scriptArtifact('export default {}')))
    expect(error).toMatchObject({ code: 'SCRIPT_INVALID', status: 422, retry: false })
    expect(error.message).toContain('The script of rule/1 cannot be served: "inputs" is undefined')
  })

  it('refuses a file that is not the one published, or not there', async () => {
    const artifact = scriptArtifact(`export default { ${terms}, row: ({ x }) => ({ y: x }) }`)
    writeFileSync(artifact.file, 'export default 1')
    expect(await refusal(load(artifact))).toMatchObject({ code: 'SCRIPT_DIGEST_MISMATCH', status: 422 })
    const missing = fakeArtifact('rule', 2, { file: `${artifact.file}.no` })
    expect(await refusal(load(missing))).toMatchObject({ code: 'SCRIPT_FILE_UNREADABLE', status: 500 })
  })

  it('refuses to run where an endless loop would stop the server', async () => {
    const error = await refusal(load(scriptArtifact(`export default {}`, { isolation: 'inline' })))
    expect(error.message).toContain('an endless loop there would stop the server')
  })

  it('refuses instances, of which a script has one', async () => {
    const error = await refusal(load(scriptArtifact(`export default {}`, { instances: 4 })))
    expect(error.message).toContain('"instances": 4, but a script has one thread')
  })
})
