// The program of a process with models. It loads versions with the ordinary backends, small ones on its main thread and others in
// threads, and runs them as the server asks. The server is at the other end of descriptor 3; when that ends, this process does, in
// the middle of whatever it does.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'
import { setPriority } from 'node:os'
import { createPlatform, type Logger, toHeadraceError, versionKey } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { Tensor, TensorMap } from '../../tensor/index.js'
import { createOnnxBackends, type OnnxBackends } from '../onnx/create-onnx-backends.js'
import { createScriptBackends } from '../script/create-script-backends.js'
import type { Backend } from '../types.js'
import { type Frame, FrameReader, type FrameTensor, writeFrame } from './frames.js'
import {
  Kind,
  type LoadedVersion,
  type LoadRequest,
  type LogLine,
  type MemoryReport,
  type MemoryRequest,
  type ReleaseRequest,
  type StartRequest,
} from './messages.js'

const REPORT_MS = 5_000
const EMPTY = Buffer.alloc(0)

// Read into one buffer, from which the reader copies: a new one for each chunk costs half again of a run with 64 KB (2026-11-22).
const reading: OnReadOpts = {
  buffer: Buffer.allocUnsafeSlow(256 * 1024),
  callback(bytes, buffer) {
    reader.push(Buffer.from(buffer.buffer as ArrayBuffer, 0, bytes))
    return true
  },
}
const options: SocketConstructorOpts & { onread: OnReadOpts } = {
  fd: 3,
  readable: true,
  writable: true,
  onread: reading,
}
const pipe = new Socket(options)
const platform = createPlatform({ logger: pipeLogger() })
const scripts = createScriptBackends()
const backends = new Map<number, Backend>()
let onnx: OnnxBackends

// The server decides when this process ends, and it lets its requests finish first.
process.on('SIGTERM', () => undefined)
process.on('SIGINT', () => undefined)
process.on('SIGHUP', () => undefined)

const reader = new FrameReader((frame) => {
  handle(frame).then(
    ({ head, tensors }) => writeFrame(pipe, Kind.DONE, frame.id, head, tensors),
    (error: unknown) => send(Kind.FAILED, frame.id, toHeadraceError(error)),
  )
})
// Not `exit`: that would wait for, or abort, what runs in threads.
pipe.on('end', endNow)
pipe.on('error', endNow)
pipe.on('close', endNow)
setInterval(() => send(Kind.REPORT, 0, memory()), REPORT_MS).unref()

interface Reply {
  readonly head: Uint8Array
  readonly tensors?: readonly FrameTensor[]
}

async function handle(frame: Frame): Promise<Reply> {
  switch (frame.kind) {
    case Kind.START:
      start(parse<StartRequest>(frame))
      return { head: EMPTY }
    case Kind.LOAD:
      return { head: jsonOf(await load(parse<LoadRequest>(frame))) }
    case Kind.RUN:
      return run(frame)
    case Kind.RELEASE:
      await release(parse<ReleaseRequest>(frame))
      return { head: EMPTY }
    case Kind.MEMORY:
      if (parse<MemoryRequest>(frame).hasLoader) await onnx.prepare({ platform })
      globalThis.gc?.()
      return { head: jsonOf(memory()) }
    default:
      throw new Error(`no message of kind ${frame.kind} is known`)
  }
}

function start({ group, niceness, onnx: options }: StartRequest): void {
  process.title = `headrace models ${group}`
  if (niceness > 0) setPriority(niceness)
  // A thread that dies takes its sessions along, and starting the whole process again is what brings them back.
  onnx = createOnnxBackends({
    ...options,
    onFailure(ref, error) {
      process.stderr.write(`${versionKey(ref)}: ${error.message}\n`)
      endNow()
    },
  })
}

async function load({ handle, artifact }: LoadRequest): Promise<LoadedVersion> {
  const { manifest } = artifact
  // Placed by measurement, as in a server; several instances are several processes.
  const here = { ...artifact, manifest: { ...manifest, isolation: 'auto' as const, instances: 1 } }
  const before = process.memoryUsage.rss()
  const backend =
    artifact.backend === 'script' ? await scripts.load(here, { platform }) : await onnx.load(here, { platform })
  backends.set(handle, backend)
  const { signature, labels, providers } = backend
  const rssBytes = process.memoryUsage.rss()
  return { signature, labels, providers, grownBytes: rssBytes - before, rssBytes }
}

async function run({ head, tensors }: Frame): Promise<Reply> {
  const backend = found(head.readUInt32LE(0))
  const { inputs, outputs } = backend.signature
  const batch = new Map<string, Tensor>()
  for (let i = 0; i < tensors.length; i++) {
    const { index, tensor } = tensors[i]!
    const { name } = inputs[index]!
    batch.set(name, { ...tensor, name })
  }
  const wanted: string[] = []
  for (let at = 4; at < head.length; at += 2) wanted.push(outputs[head.readUInt16LE(at)]!.name)
  const answer: TensorMap = await backend.run(batch, {
    deadline: Deadline.none(platform.clock),
    outputs: wanted.length === 0 ? undefined : wanted,
    ownsBatch: true,
  })
  const answered: FrameTensor[] = []
  for (let index = 0; index < outputs.length; index++) {
    const tensor = answer.get(outputs[index]!.name)
    if (tensor !== undefined) answered.push({ index, tensor })
  }
  return { head: EMPTY, tensors: answered }
}

async function release({ handle }: ReleaseRequest): Promise<void> {
  const backend = found(handle)
  backends.delete(handle)
  await backend.close()
}

function found(handle: number): Backend {
  const backend = backends.get(handle)
  if (backend === undefined) throw new Error(`no version ${handle} is loaded in this process`)
  return backend
}

function memory(): MemoryReport {
  return { rssBytes: process.memoryUsage.rss() }
}

function endNow(): void {
  process.kill(process.pid, 'SIGKILL')
}

function send(kind: number, id: number, content: object): void {
  writeFrame(pipe, kind, id, jsonOf(content))
}

function jsonOf(content: object): Buffer {
  return Buffer.from(JSON.stringify(content))
}

function parse<T>({ head }: Frame): T {
  return JSON.parse(head.toString()) as T
}

function pipeLogger(bound: object = {}): Logger {
  const log = (level: LogLine['level']) => (fields: object, message: string) =>
    send(Kind.LOG, 0, { level, fields: { ...bound, ...fields }, message } satisfies LogLine)
  return {
    debug: () => undefined,
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: (fields) => pipeLogger({ ...bound, ...fields }),
  }
}
