// What a round trip of tensors to a child process costs: our frames on a pipe against Node's own IPC, and against a thread.
// `tsx bench/isolation/transport.ts` after a build; milliseconds per round trip, and CPU of both sides.
import { fork, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { FrameReader, writeFrame } from '../../dist/serving/process/frames.js'
import { cpuMs } from '../support/cpu.js'

const echo = fileURLToPath(new URL('./echo-child.mjs', import.meta.url))

interface Side {
  /** Resolves when the same numbers have come back. */
  trip(data: Float32Array): Promise<void>
  end(): void
}

function frames(): Side {
  const child = spawn(process.execPath, [echo, 'frames'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] })
  const pipe = child.stdio[3] as Duplex
  let done = (): void => undefined
  const reader = new FrameReader(() => done())
  pipe.on('data', (chunk: Buffer) => reader.push(chunk))
  return {
    trip: (data) =>
      new Promise((resolve) => {
        done = resolve
        const tensor = { name: '', datatype: 'FP32' as const, shape: [data.length], data }
        writeFrame(pipe, 3, 1, Buffer.alloc(4), [{ index: 0, tensor }])
      }),
    end: () => child.kill(),
  }
}

function ipc(): Side {
  const child = fork(echo, ['ipc'], { serialization: 'advanced' })
  return {
    trip: (data) =>
      new Promise((resolve) => {
        child.once('message', () => resolve())
        child.send({ data })
      }),
    end: () => child.kill(),
  }
}

function thread(): Side {
  const worker = new Worker(echo, { argv: ['thread'] })
  return {
    trip: (data) =>
      new Promise((resolve) => {
        worker.once('message', () => resolve())
        const copy = data.slice()
        worker.postMessage({ data: copy }, [copy.buffer])
      }),
    end: () => void worker.terminate(),
  }
}

console.log('| Size | By | Round trip | CPU |')
console.log('| ---: | --- | ---: | ---: |')
for (const [name, elements, trips] of [
  ['256 B', 64, 5000],
  ['64 KB', 16_000, 2000],
  ['1 MB', 250_000, 300],
  ['10 MB', 2_500_000, 40],
] as const) {
  for (const [how, start] of Object.entries({ frames, ipc, thread })) {
    const side = start()
    const data = new Float32Array(elements).fill(0.5)
    for (let i = 0; i < trips / 10; i++) await side.trip(data)
    const cpuBefore = cpuMs(process.pid)
    const startMs = performance.now()
    for (let i = 0; i < trips; i++) await side.trip(data)
    const ms = (performance.now() - startMs) / trips
    const cpu = (cpuMs(process.pid) - cpuBefore) / trips
    console.log(`| ${name} | ${how} | ${ms.toFixed(3)} ms | ${cpu.toFixed(3)} ms |`)
    side.end()
  }
}
