// Asks the API again and again while the page is seen. Old data stays on the screen when an answer fails.
import { useCallback, useEffect, useState } from 'react'
import { ApiError, getJson, watchKey } from './client.js'

export interface Polled<T> {
  readonly data: T | undefined
  /** Of the last answer; undefined while all is well. */
  readonly error: ApiError | undefined
  retry(): void
}

interface State<T> {
  readonly path: string | undefined
  readonly data: T | undefined
  readonly error: ApiError | undefined
}

const FIRST_RETRY_MS = 1000
const LAST_RETRY_MS = 10_000

/** Without `everyMs` an answer is asked for once, and again only when that failed. Without a path nothing is. */
export function usePoll<T>(path: string | undefined, everyMs?: number): Polled<T> {
  const [state, setState] = useState<State<T>>({ path, data: undefined, error: undefined })
  const [round, setRound] = useState(0)
  const retry = useCallback(() => setRound((n) => n + 1), [])

  useEffect(() => watchKey(retry), [retry])

  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` asks again at once
  useEffect(() => {
    if (path === undefined) return
    const gone = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let retryMs = FIRST_RETRY_MS
    let isAsking = false
    let isDue = false

    async function once(wanted: string): Promise<void> {
      // A tab that is shown again while an answer is on its way must not begin a second series.
      if (isAsking) return
      isAsking = true
      isDue = false
      clearTimeout(timer)
      let nextMs = everyMs
      try {
        const data = await getJson<T>(wanted, gone.signal)
        retryMs = FIRST_RETRY_MS
        setState({ path: wanted, data, error: undefined })
      } catch (error) {
        if (gone.signal.aborted) return
        const failure = error instanceof ApiError ? error : new ApiError(0, 'CONSOLE_FAILED', String(error))
        setState((before) => ({
          path: wanted,
          data: before.path === wanted && failure.status !== 404 ? before.data : undefined,
          error: failure,
        }))
        nextMs = mayPass(failure) || everyMs !== undefined ? Math.max(retryMs, everyMs ?? 0) : undefined
        retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
      } finally {
        isAsking = false
      }
      if (nextMs === undefined || gone.signal.aborted) return
      timer = setTimeout(() => {
        isDue = document.hidden
        if (!isDue) void once(wanted)
      }, nextMs)
    }

    const seen = (): void => {
      if (!document.hidden && isDue) void once(path)
    }
    document.addEventListener('visibilitychange', seen)
    void once(path)
    return () => {
      gone.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', seen)
    }
  }, [path, everyMs, round])

  const isOf = state.path === path
  return { data: isOf ? state.data : undefined, error: isOf ? state.error : undefined, retry }
}

function mayPass({ status }: ApiError): boolean {
  return status === 0 || status >= 500 || status === 429
}
