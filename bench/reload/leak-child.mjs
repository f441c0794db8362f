// One process of the leak measurement: loads, runs and releases a model again and again where `place` says, and prints the resident
// memory on the way. ONNX Runtime is called directly, so that its options can be varied.

import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const FILE = fileURLToPath(import.meta.url)
const BATCHES = [1, 8, 64, 3]

async function runtime() {
  const { binding } = await import('onnxruntime-node/dist/binding.js')
  binding.initOrtOnce(
    4,
    class {
      constructor(_type, data, dims) {
        this.data = data
        this.dims = dims
      }
    },
    isMainThread,
  )
  return binding
}

async function cycle(binding, { model, from, arena, width }) {
  const session = new binding.InferenceSession()
  const options = {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 4,
    enableCpuMemArena: arena,
    enableMemPattern: arena,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  }
  if (from === 'path') session.loadModel(model, options)
  else {
    const file = readFileSync(model)
    const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length)
    session.loadModel(bytes.buffer, bytes.byteOffset, bytes.byteLength, options)
  }
  for (const rows of BATCHES) {
    const data = new Float32Array(rows * width).fill(0.5)
    session.run(
      { x: { type: 'float32', dims: [rows, width], data, location: 'cpu' } },
      { [session.outputMetadata[0].name]: null },
    )
  }
  session.dispose()
}

async function cycles(options, count) {
  const binding = await runtime()
  for (let i = 0; i < count; i++) {
    await cycle(binding, options)
    // Buffers of files that were read count as garbage only to the collector.
    globalThis.gc?.()
  }
}

const rssMiB = () => process.memoryUsage.rss() / 2 ** 20

async function main() {
  const options = JSON.parse(process.argv[2])
  const { place, count } = options
  const marks = []
  const mark = () => marks.push(rssMiB())
  const steps = 10
  const worker = place === 'thread' ? new Worker(FILE, { workerData: options }) : undefined
  for (let step = 0; step < steps; step++) {
    const n = count / steps
    if (place === 'inline') await cycles(options, n)
    else if (place === 'thread') {
      worker.postMessage(n)
      await new Promise((resolve) => worker.once('message', resolve))
    } else {
      for (let i = 0; i < n; i++) {
        if (place === 'thread that ends') {
          const one = new Worker(FILE, { workerData: { ...options, once: true } })
          await new Promise((resolve) => one.once('exit', resolve))
        } else {
          const child = fork(FILE, [JSON.stringify({ ...options, place: 'inline', count: 10, once: true })], {
            stdio: 'ignore',
          })
          await new Promise((resolve) => child.once('exit', resolve))
        }
      }
    }
    mark()
  }
  await worker?.terminate()
  console.log(JSON.stringify(marks))
}

if (!isMainThread) {
  if (workerData.once) await cycles(workerData, 1)
  else
    parentPort.on('message', async (n) => {
      await cycles(workerData, n)
      parentPort.postMessage('done')
    })
} else if (JSON.parse(process.argv[2]).once) await cycles(JSON.parse(process.argv[2]), 1)
else await main()
