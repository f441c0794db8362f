// One call over HTTP, with its timeout and its retries.
import { HeadraceClientError } from './errors.js'
import { RetryBudget } from './retry-budget.js'

export interface CallerOptions {
  readonly baseUrl?: string
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  readonly retries?: number
  readonly fetch?: typeof globalThis.fetch
}

export interface Call {
  readonly path: string
  /** JSON text; undefined makes it a GET. */
  readonly body?: string
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
  readonly retries?: number
}

/** Statuses of a server, or a proxy before it, that can take the same request a little later. */
const BUSY: readonly number[] = [429, 502, 503]

const FIRST_WAIT_MS = 100

/** A connection that broke says that its process is gone; another one is there already, or at once. */
const BROKEN_WAIT_MS = 25

export class Caller {
  readonly #baseUrl: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #timeoutMs: number
  readonly #retries: number
  readonly #fetch: typeof globalThis.fetch
  readonly #budget = new RetryBudget()

  constructor(options: CallerOptions) {
    this.#baseUrl = (options.baseUrl ?? 'http://127.0.0.1:8080').replace(/\/+$/, '')
    this.#headers = {
      accept: 'application/json',
      ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
      ...options.headers,
    }
    this.#timeoutMs = options.timeoutMs ?? 10_000
    this.#retries = options.retries ?? 2
    // Looked up at each call, so that a fetch replaced later is used; browsers refuse it as another object's method.
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  }

  /** The JSON of the reply. Rejects with a HeadraceClientError, or with the reason of `signal`. */
  async send(call: Call): Promise<unknown> {
    const { signal, timeoutMs = this.#timeoutMs, retries = this.#retries } = call
    const endMs = performance.now() + timeoutMs
    const stop = new AbortController()
    // AbortSignal.timeout and .any would leave a timer and a listener behind for every call that ends in time.
    const timer = setTimeout(() => stop.abort(timedOut(timeoutMs)), timeoutMs)
    const abort = () => stop.abort(signal?.reason)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    this.#budget.attempted()
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          return await this.#attempt(call, stop.signal)
        } catch (error) {
          if (!(error instanceof HeadraceClientError && error.retry) || attempt >= retries) throw error
          const waitMs = isBroken(error)
            ? BROKEN_WAIT_MS * 4 ** attempt * Math.random()
            : (error.retryAfterMs ?? backoffMs(attempt))
          // The server's own words say more than a timeout would.
          if (performance.now() + waitMs >= endMs || !this.#budget.take()) throw error
          await wait(waitMs, stop.signal)
        }
      }
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  async #attempt({ path, body }: Call, stop: AbortSignal): Promise<unknown> {
    const url = this.#baseUrl + path
    let response: Response
    let text: string
    try {
      response = await this.#fetch(url, {
        method: body === undefined ? 'GET' : 'POST',
        headers: body === undefined ? this.#headers : { ...this.#headers, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body }),
        signal: stop,
      })
      text = await response.text()
    } catch (cause) {
      if (stop.aborted) throw stop.reason
      const why = reasonOf(cause)
      const message = `No answer from ${url} (${why}). Check that the server runs there ("headrace serve") and the baseUrl.`
      throw new HeadraceClientError('CLIENT_UNREACHABLE', message, 0, true, undefined, { cause })
    }
    const json = parse(text)
    if (!response.ok) throw errorOf(response, json, text)
    if (json !== undefined) return json
    throw badResponse(response, text)
  }
}

/** The server's error as it says it: `{"error": message, "code": …}`. */
function errorOf(response: Response, json: unknown, text: string): HeadraceClientError {
  const { error, code } = (json ?? {}) as Record<string, unknown>
  if (typeof error !== 'string' || typeof code !== 'string') return badResponse(response, text)
  const isBusy = BUSY.includes(response.status)
  return new HeadraceClientError(code, error, response.status, isBusy, retryAfterMs(response))
}

function badResponse(response: Response, text: string): HeadraceClientError {
  const { status, url } = response
  const start = text.length > 200 ? `${text.slice(0, 200)}…` : text
  const message = `${url} answered ${status} with what no Headrace server says: ${start || 'nothing'}. Check the baseUrl.`
  return new HeadraceClientError('CLIENT_BAD_RESPONSE', message, status, BUSY.includes(status), retryAfterMs(response))
}

function timedOut(timeoutMs: number): HeadraceClientError {
  const message = `The call took longer than ${timeoutMs} ms. Allow it more with timeoutMs, or find out what is slow.`
  return new HeadraceClientError('CLIENT_TIMEOUT', message, 0, false)
}

/** undefined when it is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** fetch says "fetch failed" and keeps what happened as the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (!(cause instanceof Error)) return String(cause)
  return cause.message || String((cause as { code?: unknown }).code ?? cause.name)
}

/** Retry-After is a number of seconds or a date. */
function retryAfterMs({ headers }: Response): number | undefined {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

/** Whether there was a connection and it ended without an answer; a server that is not there refuses it instead. */
function isBroken({ code, cause }: HeadraceClientError): boolean {
  if (code !== 'CLIENT_UNREACHABLE') return false
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const why = (reason as { readonly code?: unknown } | undefined)?.code
  return why === 'ECONNRESET' || why === 'EPIPE' || why === 'UND_ERR_SOCKET'
}

/** Doubles each time; half of it by chance, so that clients that failed together do not come back together. */
function backoffMs(attempt: number): number {
  return FIRST_WAIT_MS * 2 ** attempt * (0.5 + Math.random() / 2)
}

function wait(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      reject(stop.reason)
    }
    const timer = setTimeout(() => {
      stop.removeEventListener('abort', end)
      resolve()
    }, ms)
    if (stop.aborted) end()
    else stop.addEventListener('abort', end, { once: true })
  })
}
