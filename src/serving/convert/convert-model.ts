// Turns a file of XGBoost or LightGBM into ONNX and proves that it answers the same, in a thread that ends with it.
import { Worker } from 'node:worker_threads'
import { deserializeError, workerFile } from '../../core/index.js'
import type { ConvertedModel } from '../../formats/index.js'
import type { ConvertReply } from './convert-worker.js'
import { ConvertErrors } from './errors.js'

const WORKER = workerFile(import.meta.url, './convert-worker.js')
/** A file that would need more ends the thread, not the process. */
const MAX_HEAP_MB = 4096

/** Throws CONVERT_UNREADABLE, CONVERT_UNSUPPORTED, CONVERT_TOO_LARGE, CONVERT_DIFFERS, CONVERT_FAILED. */
export function convertModel(file: string): Promise<ConvertedModel> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORKER, {
      name: 'headrace-convert',
      execArgv: [],
      workerData: { file },
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    })
    worker.once('message', ({ converted, error }: ConvertReply) => {
      if (converted) resolve(converted)
      else reject(deserializeError(error!))
    })
    worker.once('error', (error) => reject(ConvertErrors.FAILED({ file, reason: error.message }, error)))
    worker.once('exit', (code) => reject(ConvertErrors.FAILED({ file, reason: `its thread ended with code ${code}` })))
  })
}
