// Our side: the Batcher of the server as a version gets it by default, on virtual time. It is the same on every trace.
import { type HeadraceError, type ModelName, testPlatform } from '../../src/core/index.js'
import { Deadline } from '../../src/flow/index.js'
import { Batcher } from '../../src/serving/batcher.js'
import type { Backend } from '../../src/serving/index.js'
import { createServingMetrics } from '../../src/serving/metrics.js'
import type { Signature, Tensor, TensorMap } from '../../src/tensor/index.js'
import { fakeManifest } from '../../test/support/fake-backend.js'
import { MAX_BATCH_ROWS } from './model.js'
import { type Bench, type CreateScheduler, settle } from './replay.js'

const SIGNATURE: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 1] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 1] }],
  batchAxis: 0,
}

export const createHeadrace: CreateScheduler = (bench) => {
  const { clock } = bench
  const { metrics, logger } = testPlatform({ clock })
  const version = { model: 'simulated' as ModelName, version: 1 }
  const deferred: (() => void)[] = []
  const batcher = new Batcher({
    version,
    backend: backendOn(bench),
    manifest: fakeManifest({ batching: { maxBatchSize: MAX_BATCH_ROWS } }),
    clock,
    logger,
    metrics: createServingMetrics(metrics).bind(version),
    defer: (callback) => deferred.push(callback),
    onReadiness: (reason) => {
      if (reason !== undefined) throw new Error(`The batcher became unready: ${reason}`)
    },
  })
  let id = 0
  /** What is wrong with the bench or the batcher, kept until somebody can be told. */
  let fault: unknown
  return {
    submit({ rows, limitMs, answer }) {
      const data = new Float32Array(rows).fill(++id)
      const x: Tensor = { name: 'x', datatype: 'FP32', shape: [rows, 1], data }
      const input = { tensors: new Map([['x', x]]), rows, outputs: undefined, cancelled: false }
      batcher
        .call(input, Deadline.in(clock, limitMs))
        .then(
          ({ outputs }) => {
            const y = outputs.get('y')!.data as Float32Array
            if (y.length !== rows || y.some((value, i) => value !== -data[i]!))
              throw new Error('An answer was mixed up.')
            answer(true)
          },
          (error: HeadraceError) => {
            // Overload and deadlines are part of the play.
            if (error.status !== 429 && error.status !== 504) throw error
            answer(false)
          },
        )
        .catch((error: unknown) => {
          fault ??= error
        })
    },
    async turnEnd() {
      await settle(deferred)
      if (fault !== undefined) throw fault
    },
  }
}

function backendOn({ instance }: Bench): Backend {
  return {
    signature: SIGNATURE,
    concurrency: 1,
    labels: undefined,
    isolation: 'thread',
    run: (batch) =>
      new Promise((resolve) => {
        const { shape, data } = batch.get('x')!
        const y: Tensor = { name: 'y', datatype: 'FP32', shape, data: (data as Float32Array).map((value) => -value) }
        instance.run(shape[0]!, () => resolve(new Map([['y', y]]) as TensorMap))
      }),
    memoryBytes: () => 1,
    close: async () => {},
  }
}
