// Long work of the feature store: the server does it, the command tells how far it is, and Ctrl-C cancels it.
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { deserializeError, type HeadraceError } from '../core/index.js'
import type { JobView } from '../features/index.js'
import type { Api } from './context.js'

const POLL_MS = 200

/** Starts a job and resolves with its result; throws its error. */
export async function runJob<T>(api: Api, path: string, body: object): Promise<T> {
  let job = await api.json<JobView>('POST', `/api/v1/features/${path}`, body)
  const at = `/api/v1/features/jobs/${job.id}`
  let isCancelled = false
  const cancel = () => {
    // A second Ctrl-C ends the command at once; the job is cancelled all the same.
    if (isCancelled) process.exit(130)
    isCancelled = true
    api.json('POST', `${at}/cancel`).catch(() => undefined)
  }
  process.on('SIGINT', cancel)
  const tell = progressLine()
  try {
    while (job.state === 'running') {
      await sleep(POLL_MS)
      job = await api.json<JobView>('GET', at)
      tell(job)
    }
  } finally {
    process.off('SIGINT', cancel)
    tell(undefined)
  }
  if (job.error !== null) throw errorOf(job.error)
  return job.result as T
}

function errorOf(error: NonNullable<JobView['error']>): HeadraceError {
  return deserializeError({ ...error, params: {} })
}

/** One line on a terminal that is written over; nothing anywhere else. */
function progressLine(): (job: JobView | undefined) => void {
  const { stderr } = process
  if (!stderr.isTTY) return () => undefined
  let isShown = false
  return (job) => {
    if (isShown) stderr.write('\r\x1b[2K')
    isShown = job?.state === 'running' && job.progress !== null
    if (!isShown) return
    const { step, done, total } = job!.progress!
    stderr.write(`${step} (${done} of ${total})`)
  }
}
