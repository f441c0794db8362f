// The newest records of the log, from the API's endless answer; shown a few times a second however fast they come.
import { useCallback, useEffect, useRef, useState } from 'react'
import { ApiError, ask, getJson, watchKey } from './client.js'
import type { LogRecord, Status } from './types.js'

export interface Tail {
  /** Newest first. */
  readonly records: readonly LogRecord[]
  readonly isConnected: boolean
  readonly error: ApiError | undefined
  retry(): void
}

const MAX_RECORDS = 2000
/** Of what was written before the page was opened. */
const FIRST_RECORDS = 300
const SHOW_EVERY_MS = 250
const RETRY_MS = 2000

/** `isPaused`: what comes is still kept, and shown when it goes on. Nothing is asked for while the tab is hidden. */
export function useTail(isPaused: boolean): Tail {
  const [records, setRecords] = useState<readonly LogRecord[]>([])
  const [isConnected, setConnected] = useState(false)
  const [error, setError] = useState<ApiError>()
  const [round, setRound] = useState(0)
  const retry = useCallback(() => setRound((n) => n + 1), [])
  const paused = useRef(isPaused)
  const next = useRef<number>(undefined)
  const kept = useRef<LogRecord[]>([])

  useEffect(() => watchKey(retry), [retry])

  useEffect(() => {
    paused.current = isPaused
    if (!isPaused) setRecords([...kept.current])
  }, [isPaused])

  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` connects again
  useEffect(() => {
    let gone = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let hasNew = false

    const show = setInterval(() => {
      if (!hasNew || paused.current) return
      hasNew = false
      setRecords([...kept.current])
    }, SHOW_EVERY_MS)

    function add(lines: readonly string[]): void {
      for (const line of lines) {
        if (line === '') continue
        const record = JSON.parse(line) as LogRecord
        next.current = record.seq + 1
        kept.current.unshift(record)
      }
      kept.current.length = Math.min(kept.current.length, MAX_RECORDS)
      hasNew = true
    }

    async function follow({ signal }: AbortController): Promise<void> {
      try {
        // More than is kept would only pass through: after a long time away there is a gap.
        const { log } = await getJson<Status>('/api/v1/status', signal)
        const least = log.durableThrough + 1 - (next.current === undefined ? FIRST_RECORDS : MAX_RECORDS)
        next.current = Math.max(1, least, next.current ?? 1)
        const response = await ask(`/api/v1/log/tail?from=${next.current}`, signal)
        setConnected(true)
        setError(undefined)
        const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
        let rest = ''
        for (;;) {
          const { done, value } = await reader.read()
          if (done) break
          const lines = (rest + value).split('\n')
          rest = lines.pop()!
          add(lines)
        }
      } catch (failure) {
        if (signal.aborted) return
        setError(failure instanceof ApiError ? failure : undefined)
      }
      if (signal.aborted) return
      setConnected(false)
      timer = setTimeout(start, RETRY_MS)
    }

    function start(): void {
      clearTimeout(timer)
      gone.abort()
      gone = new AbortController()
      if (document.hidden) setConnected(false)
      else void follow(gone)
    }

    document.addEventListener('visibilitychange', start)
    start()
    return () => {
      document.removeEventListener('visibilitychange', start)
      gone.abort()
      clearTimeout(timer)
      clearInterval(show)
    }
  }, [round])

  return { records, isConnected, error, retry }
}
