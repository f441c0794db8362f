// Turns a file of XGBoost or LightGBM into ONNX and proves that it answers the same, in a process that ends with it: a file made to hurt
// ends a thread's whole process, because the engine aborts when one list or the memory gets too large. One at a time, since
// each may take gigabytes.
import { type ChildProcess, fork } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { deserializeError, type HeadraceError, workerFile } from '../../core/index.js'
import type { ConvertedModel } from '../../formats/index.js'
import { childEnvironment } from '../process/child-environment.js'
import type { ConvertReply } from './convert-worker.js'
import { ConvertErrors } from './errors.js'

const WORKER = workerFile(import.meta.url, './convert-worker.js')

export interface ConvertLimits {
  readonly heapMb: number
  readonly timeMs: number
}

/** The largest file that is taken needs a minute on an idle core. */
const LIMITS: ConvertLimits = { heapMb: 4096, timeMs: 300_000 }

let last: Promise<unknown> = Promise.resolve()

/** Throws CONVERT_UNREADABLE, CONVERT_UNSUPPORTED, CONVERT_TOO_LARGE, CONVERT_DIFFERS, CONVERT_FAILED. */
export function convertModel(file: string, limits: ConvertLimits = LIMITS): Promise<ConvertedModel> {
  const converted = last.then(() => convertApart(file, limits))
  last = converted.catch(() => undefined)
  return converted
}

function convertApart(file: string, { heapMb, timeMs }: ConvertLimits): Promise<ConvertedModel> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(fileURLToPath(WORKER), [file], {
      execArgv: [`--max-old-space-size=${heapMb}`],
      env: childEnvironment(process.env),
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      timeout: timeMs,
      killSignal: 'SIGKILL',
    })
    const failed = (reason: string, cause?: Error): HeadraceError => ConvertErrors.FAILED({ file, reason }, cause)
    let reply: ConvertReply | undefined
    child.once('message', (message) => {
      reply = message as ConvertReply
    })
    child.once('error', (error) => reject(failed(error.message, error)))
    // Only then is its memory free for the next.
    child.once('close', (code, signal) => {
      if (reply?.converted) resolve(reply.converted)
      else if (reply) reject(deserializeError(reply.error!))
      else
        reject(
          failed(`its process ended with ${signal ?? `code ${code}`}; it may take ${heapMb} MB and ${timeMs / 1000} s`),
        )
    })
  })
}
