// The public keys of an issuer. Those of a URL are kept: fetched again when they are old, beside requests, and when a token names a
// key that is not among them, at most every half minute. While the issuer cannot be reached the last ones go on.
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { Platform } from '../../core/index.js'
import { AccessErrors } from '../errors.js'

export interface KeySet {
  readonly find: JWTVerifyGetKey
  close(): void
}

const MAX_AGE_MS = 10 * 60_000
/** Whoever invents keys must not make us ask the issuer for each of them. */
const COOLDOWN_MS = 30_000
/** After a fetch that failed. */
const RETRY_MS = 5_000
const FETCH_LIMIT_MS = 5_000
const MAX_SET_BYTES = 1024 * 1024

export function staticKeySet(json: unknown): KeySet {
  return { find: createLocalJWKSet(json as JSONWebKeySet), close: () => undefined }
}

export function remoteKeySet(url: string, platform: Pick<Platform, 'clock' | 'logger'>): KeySet {
  return new RemoteKeySet(url, platform)
}

class RemoteKeySet implements KeySet {
  #keys: JWTVerifyGetKey | undefined
  #fetching: Promise<void> | undefined
  /** Monotonic milliseconds. */
  #fetchedMs = Number.NEGATIVE_INFINITY
  #failedMs = Number.NEGATIVE_INFINITY
  #problem = ''
  readonly #closing = new AbortController()

  constructor(
    private readonly url: string,
    private readonly platform: Pick<Platform, 'clock' | 'logger'>,
  ) {}

  readonly find: JWTVerifyGetKey = async (header, token) => {
    const { clock } = this.platform
    if (this.#keys === undefined) await this.#fetch()
    else if (clock.monotonicMs() - this.#fetchedMs > MAX_AGE_MS) void this.#fetch()
    const keys = this.#keys
    if (keys === undefined)
      throw AccessErrors.ISSUER_DOWN({ url: this.url, problem: this.#problem, retryAfterMs: RETRY_MS })
    try {
      return await keys(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || clock.monotonicMs() - this.#fetchedMs < COOLDOWN_MS)
        throw error
      await this.#fetch()
      return this.#keys!(header, token)
    }
  }

  close(): void {
    this.#closing.abort()
  }

  /** Never rejects. */
  #fetch(): Promise<void> {
    const { clock, logger } = this.platform
    if (clock.monotonicMs() - this.#failedMs < RETRY_MS) return Promise.resolve()
    this.#fetching ??= this.#load()
      .then(
        (keys) => {
          this.#keys = keys
          this.#fetchedMs = clock.monotonicMs()
          this.#failedMs = Number.NEGATIVE_INFINITY
        },
        (error: unknown) => {
          this.#failedMs = clock.monotonicMs()
          this.#problem = (error as Error).message
          if (!this.#closing.signal.aborted)
            logger.warn(
              { url: this.url, reason: this.#problem },
              'the public keys of an issuer of tokens cannot be fetched',
            )
        },
      )
      .finally(() => {
        this.#fetching = undefined
      })
    return this.#fetching
  }

  async #load(): Promise<JWTVerifyGetKey> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(FETCH_LIMIT_MS)])
    const response = await fetch(this.url, { signal, headers: { accept: 'application/json' } })
    if (!response.ok) throw new Error(`it answered ${response.status}`)
    const text = await response.text()
    if (text.length > MAX_SET_BYTES) throw new Error(`its answer has ${text.length} bytes`)
    return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet)
  }
}
