// Resampling a hundred thousand rows a thousand times takes seconds: not on the event loop.
import { Worker } from 'node:worker_threads'
import { workerFile } from '../../core/index.js'
import type { EvaluationSettings } from './config.js'
import { GateErrors } from './errors.js'
import type { EvaluationResult, JudgedRows } from './judge.js'

const WORKER = workerFile(import.meta.url, './judge-worker.js')

/** Results in the order of the settings. Rejects with GATE_CANCELLED and GATE_JUDGE_FAILED. */
export function judgeApart(
  rows: JudgedRows,
  settings: readonly EvaluationSettings[],
  signal: AbortSignal,
): Promise<EvaluationResult[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORKER, { workerData: { rows, settings } })
    const cancel = () => {
      void worker.terminate()
      reject(GateErrors.CANCELLED({ what: 'check' }))
    }
    if (signal.aborted) return cancel()
    signal.addEventListener('abort', cancel)
    worker.once('message', resolve)
    worker.once('error', (error) => reject(GateErrors.JUDGE_FAILED({ problem: (error as Error).message }, error)))
    worker.once('exit', () => {
      signal.removeEventListener('abort', cancel)
      reject(GateErrors.JUDGE_FAILED({ problem: 'its thread ended without an answer' }))
    })
  })
}
