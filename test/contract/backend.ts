// What every Backend promises the batcher that runs it, wherever its session lives and whatever it is made of.
import { expect, it } from 'vitest'
import { HeadraceError, systemClock } from '../../src/core/index.js'
import { Deadline } from '../../src/flow/index.js'
import type { Backend, RunContext } from '../../src/serving/index.js'
import { concatenateRows, sliceRows, type TensorMap } from '../../src/tensor/index.js'
import { computeDouble, DOUBLER, doublerInput } from '../support/fake-backend.js'

export interface BackendFixture {
  /** Of a version that computes what `DOUBLER` says; the suite closes it. */
  readonly backend: Backend
  /** Inputs that a run must fail on. */
  readonly poison: TensorMap
}

export function backendContract(make: () => Promise<BackendFixture>): void {
  const context: RunContext = { deadline: Deadline.none(systemClock), outputs: undefined }
  const input = (...rows: number[][]): TensorMap => doublerInput(rows).tensors

  async function using(test: (backend: Backend, poison: TensorMap) => Promise<void>): Promise<void> {
    const { backend, poison } = await make()
    try {
      await test(backend, poison)
    } finally {
      await backend.close()
    }
  }

  it('knows its signature and what it costs', () =>
    using(async (backend) => {
      expect(backend.signature).toEqual(DOUBLER)
      expect(backend.memoryBytes()).toBeGreaterThan(0)
      expect(backend.concurrency).toBeGreaterThanOrEqual(1)
    }))

  it('answers with every output of the signature, in its order', () =>
    using(async (backend) => {
      const batch = input([1, 2], [3, 4])
      expect([...(await backend.run(batch, context))]).toEqual([...computeDouble(batch)])
    }))

  it('answers with the outputs asked for, in the order asked for, and no others', () =>
    using(async (backend) => {
      const batch = input([1, 2])
      const sum = await backend.run(batch, { ...context, outputs: ['sum'] })
      expect([...sum.keys()]).toEqual(['sum'])
      expect([...sum.get('sum')!.data]).toEqual([3])
      expect([...(await backend.run(batch, { ...context, outputs: ['sum', 'double'] })).keys()]).toEqual([
        'sum',
        'double',
      ])
    }))

  it('answers for joined rows what it answers for each row alone', () =>
    using(async (backend) => {
      const rows = [
        [1, -2],
        [0.5, 3],
        [0, 7],
      ].map((row) => input(row))
      const joined = new Map([['x', concatenateRows(rows.map((row) => row.get('x')!))]])
      const outputs = await backend.run(joined, context)
      for (const [i, row] of rows.entries()) {
        for (const [name, alone] of await backend.run(row, context)) {
          expect(sliceRows(outputs.get(name)!, i, 1)).toEqual(alone)
        }
      }
    }))

  it('runs a batch without rows', () =>
    using(async (backend) => {
      const none: TensorMap = new Map([['x', { name: 'x', datatype: 'FP32', shape: [0, 3], data: new Float32Array() }]])
      const outputs = await backend.run(none, context)
      expect(outputs.get('double')!.shape).toEqual([0, 3])
      expect(outputs.get('sum')!.shape).toEqual([0])
    }))

  it('takes inputs that show a part of a larger buffer', () =>
    using(async (backend) => {
      const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3)
      const outputs = await backend.run(new Map([['x', { name: 'x', datatype: 'FP32', shape: [1, 2], data }]]), context)
      expect([...outputs.get('double')!.data]).toEqual([2, 4])
      expect(data.buffer.byteLength).toBe(16)
    }))

  it('leaves the inputs as they are, for a fallback or the log to read', () =>
    using(async (backend) => {
      const batch = input([1, 2])
      await backend.run(batch, context)
      expect([...batch.get('x')!.data]).toEqual([1, 2])
      const first = [...(await backend.run(batch, context)).get('double')!.data]
      expect(first).toEqual([2, 4])
    }))

  it('gives every run memory of its own', () =>
    using(async (backend) => {
      const first = await backend.run(input([1]), context)
      await backend.run(input([5]), context)
      expect([...first.get('double')!.data]).toEqual([2])
    }))

  it('may be given the memory of a batch that nobody reads again', () =>
    using(async (backend) => {
      const outputs = await backend.run(input([1, 2]), { ...context, ownsBatch: true })
      expect([...outputs.get('double')!.data]).toEqual([2, 4])
    }))

  it('keeps runs apart that overlap', () =>
    using(async (backend) => {
      const runs = Array.from({ length: 20 }, (_, i) => backend.run(input([i]), context))
      const sums = (await Promise.all(runs)).map((outputs) => outputs.get('sum')!.data[0])
      expect(sums).toEqual(runs.map((_, i) => i))
    }))

  it('rejects a run that fails with a HeadraceError, and runs the next one', () =>
    using(async (backend, poison) => {
      await expect(backend.run(poison, context)).rejects.toBeInstanceOf(HeadraceError)
      expect([...(await backend.run(input([2]), context)).get('double')!.data]).toEqual([4])
    }))

  it('lets runs under way finish when it is closed, and refuses later ones', () =>
    using(async (backend) => {
      const run = backend.run(input([2]), context)
      const closing = backend.close()
      await expect(backend.run(input([3]), context)).rejects.toMatchObject({ status: 503, retry: true })
      expect([...(await run).get('double')!.data]).toEqual([4])
      await closing
      await backend.close()
      await expect(backend.run(input([3]), context)).rejects.toMatchObject({ status: 503, retry: true })
    }))
}
