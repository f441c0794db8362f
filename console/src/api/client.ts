// Every request of the console: the public API of the server that sent the page, with the key if one was given.

/** What went wrong, as the API says it; requests that got no answer have a code of the console's own. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

const KEY = 'headrace-key'
const keyWatchers = new Set<() => void>()

/** Kept for this tab only. */
export function storedKey(): string | null {
  return sessionStorage.getItem(KEY)
}

export function storeKey(key: string | null): void {
  if (key === null) sessionStorage.removeItem(KEY)
  else sessionStorage.setItem(KEY, key)
  for (const watcher of keyWatchers) watcher()
}

export function watchKey(change: () => void): () => void {
  keyWatchers.add(change)
  return () => keyWatchers.delete(change)
}

/** A server that stands still keeps its connections open and answers nothing. */
const PATIENCE_MS = 20_000

/** Throws ApiError. */
export async function ask(path: string, signal: AbortSignal): Promise<Response> {
  const key = storedKey()
  let response: Response
  try {
    response = await fetch(path, { signal, headers: key === null ? {} : { Authorization: `Bearer ${key}` } })
  } catch (error) {
    if (signal.aborted) throw error
    throw new ApiError(
      0,
      'CONSOLE_SERVER_UNREACHABLE',
      `The server at ${location.host} does not answer. Start it again with "headrace serve"; the page goes on by itself.`,
    )
  }
  if (response.ok) return response
  const body = (await response.json().catch(() => ({}))) as { code?: unknown; error?: unknown }
  throw new ApiError(
    response.status,
    typeof body.code === 'string' ? body.code : `HTTP_${response.status}`,
    typeof body.error === 'string' ? body.error : `The server answered ${path} with status ${response.status}.`,
  )
}

/** Throws ApiError. */
export async function getJson<T>(path: string, signal: AbortSignal): Promise<T> {
  const patience = new AbortController()
  const giveUp = (): void => patience.abort()
  const timer = setTimeout(giveUp, PATIENCE_MS)
  signal.addEventListener('abort', giveUp)
  try {
    const response = await ask(path, patience.signal)
    return (await response.json()) as T
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error
    const what = patience.signal.aborted ? `did not come within ${PATIENCE_MS / 1000} seconds` : 'broke off'
    throw new ApiError(0, 'CONSOLE_SERVER_UNREACHABLE', `The answer of ${path} ${what}. It is asked for again.`)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', giveUp)
  }
}
