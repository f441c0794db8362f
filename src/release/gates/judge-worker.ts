// The thread that judges one data set's evaluations; it ends when it has answered.
import { parentPort, workerData } from 'node:worker_threads'
import type { EvaluationSettings } from './config.js'
import { type JudgedRows, judge } from './judge.js'

const { rows, settings } = workerData as { rows: JudgedRows; settings: readonly EvaluationSettings[] }
parentPort!.postMessage(settings.map((one) => judge(rows, one)))
