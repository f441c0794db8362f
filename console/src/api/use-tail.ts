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

/** `isPaused`: what comes is still kept, and shown when it goes on. */
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
    const gone = new AbortController()
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

    async function follow(): Promise<void> {
      try {
        if (next.current === undefined) {
          const { log } = await getJson<Status>('/api/v1/status', gone.signal)
          next.current = Math.max(1, log.durableThrough + 1 - FIRST_RECORDS)
        }
        const response = await ask(`/api/v1/log/tail?from=${next.current}`, gone.signal)
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
        if (gone.signal.aborted) return
        setError(failure instanceof ApiError ? failure : undefined)
      }
      if (gone.signal.aborted) return
      setConnected(false)
      timer = setTimeout(() => void follow(), RETRY_MS)
    }

    void follow()
    return () => {
      gone.abort()
      clearTimeout(timer)
      clearInterval(show)
    }
  }, [round])

  return { records, isConnected, error, retry }
}
