// Work that the server does while the command waits: it says how far it is, and Ctrl-C cancels it.
import process from 'node:process'
import { serverError } from './answers.js'
import type { Api } from './context.js'

interface Line<T> {
  readonly progress?: { readonly step: string; readonly done: number; readonly total: number }
  readonly result?: T
  readonly error?: string
  readonly status?: number
}

/** Resolves with the result; throws the server's error. `tell` hears of progress; by default a line on a terminal that is written over. */
export async function runLong<T>(api: Api, path: string, body: object, tell = progressLine()): Promise<T> {
  const abort = new AbortController()
  const cancel = () => {
    // A second Ctrl-C ends the command at once; the work is cancelled all the same.
    if (abort.signal.aborted) process.exit(130)
    abort.abort()
  }
  process.on('SIGINT', cancel)
  try {
    const response = await api.request('POST', path, {
      body: JSON.stringify({ ...body, stream: true }),
      headers: { 'Content-Type': 'application/json' },
      signal: abort.signal,
    })
    for await (const line of linesOf(response)) {
      const { progress, result, status = 500 } = JSON.parse(line) as Line<T>
      if (progress !== undefined) tell(`${progress.step} (${progress.done} of ${progress.total})`)
      else if (result !== undefined) return result
      else throw serverError(status, line)
    }
    throw serverError(response.status, 'the answer ended early')
  } finally {
    process.off('SIGINT', cancel)
    tell(undefined)
  }
}

async function* linesOf(response: Response): AsyncIterable<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = parts.pop()!
    yield* parts.filter((part) => part !== '')
  }
  if (rest.trim() !== '') yield rest
}

/** One line on a terminal that is written over; nothing anywhere else. */
export function progressLine(): (text: string | undefined) => void {
  const { stderr } = process
  if (!stderr.isTTY) return () => undefined
  let isShown = false
  return (text) => {
    if (isShown) stderr.write('\r\x1b[2K')
    isShown = text !== undefined
    if (text !== undefined) stderr.write(text)
  }
}
