// Reads one body and ends.
import { parentPort, workerData } from 'node:worker_threads'
import { toHeadraceError } from '../../core/index.js'
import type { LoadReply } from './load-body.js'
import { readLoadBody } from './read-load-body.js'

const { bytes, model } = workerData as { readonly bytes: Uint8Array; readonly model: string }
const buffers = new Set<ArrayBuffer>()
let reply: LoadReply
try {
  const body = readLoadBody(bytes, model)
  for (const { buffer } of body.files.values()) buffers.add(buffer as ArrayBuffer)
  reply = { body }
} catch (error) {
  reply = { error: toHeadraceError(error).toJSON() }
}
parentPort?.postMessage(reply, [...buffers])
