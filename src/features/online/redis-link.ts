// One connection to Redis that never lets work pile up: what cannot be sent, or would wait behind a Redis that does not answer, fails at once.
import type { Redis } from 'ioredis'
import type { Platform, Timer } from '../../core/index.js'
import { FeatureErrors } from '../errors.js'

export interface RedisLinkOptions {
  readonly platform: Platform
  /** `redis://:password@host:6379/0`; `rediss:` for TLS. Never logged. */
  readonly url: string
  /** What the connection is for, in the log. */
  readonly use: 'reads' | 'writes'
  /** Without an answer for this long, Redis counts as down; twice that, and it is connected to anew. */
  readonly stalledMs: number
}

/** Replicas that lost the same Redis must not all come back at the same moment. */
const RECONNECT_MS = 100
const MAX_RECONNECT_MS = 3000
const CONNECT_TIMEOUT_MS = 2000
const CLOSE_LIMIT_MS = 500
/** More than this under way means that answers do not come; each holds its keys in memory. */
const MAX_UNDER_WAY = 1000

/** Waits for the first connection, but not for one that fails. */
export async function openRedisLink(options: RedisLinkOptions): Promise<RedisLink> {
  const { Redis } = await import('ioredis')
  const { random, clock } = options.platform
  const redis = new Redis(options.url, {
    enableOfflineQueue: false,
    // A command whose connection broke is not sent again by itself: nobody waits for it any more.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    // How long it waits for the other end of a connection that is given up.
    disconnectTimeout: 100,
    retryStrategy: (times) =>
      Math.min(MAX_RECONNECT_MS, RECONNECT_MS * 2 ** Math.min(times, 10)) * (0.5 + random.next()),
  })
  const link = new RedisLink(redis, options)
  await new Promise<void>((resolve) => {
    const timer = clock.after(CONNECT_TIMEOUT_MS, resolve)
    const settle = (): void => {
      timer.cancel()
      resolve()
    }
    redis.once('ready', settle)
    redis.once('close', settle)
  })
  return link
}

export class RedisLink {
  #underWay = 0
  /** When something was last heard, or first waited for. */
  #heardMs = 0
  #watch: Timer | undefined
  #isDown = false
  #isClosing = false

  constructor(
    private readonly redis: Redis,
    private readonly options: RedisLinkOptions,
  ) {
    const { logger } = options.platform
    redis.on('error', (error: Error) => this.#lost(error.message))
    redis.on('close', () => this.#lost('the connection was closed'))
    redis.on('ready', () => {
      if (this.#isDown) logger.info({ use: options.use }, 'Redis can be reached again')
      this.#isDown = false
    })
  }

  /** Runs a command. Rejects with FEATURE_STORE_UNAVAILABLE, whatever Redis says is wrong. */
  async run<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    const { clock } = this.options.platform
    const problem = this.#problem(clock.monotonicMs())
    if (problem !== undefined) throw FeatureErrors.STORE_UNAVAILABLE({ reason: problem })
    if (this.#underWay++ === 0) this.#heardMs = clock.monotonicMs()
    this.#watch ??= clock.after(this.options.stalledMs, this.#check)
    try {
      return await command(this.redis)
    } catch (error) {
      throw FeatureErrors.STORE_UNAVAILABLE({ reason: error instanceof Error ? error.message : String(error) }, error)
    } finally {
      this.#underWay--
      this.#heardMs = clock.monotonicMs()
    }
  }

  /** Lets commands under way end, for a moment at most. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#watch?.cancel()
    if (this.redis.status === 'ready') {
      await Promise.race([
        this.redis.quit().catch(() => undefined),
        new Promise<void>((resolve) => this.options.platform.clock.after(CLOSE_LIMIT_MS, resolve)),
      ])
    }
    this.redis.disconnect()
  }

  #problem(nowMs: number): string | undefined {
    if (this.redis.status !== 'ready') return 'there is no connection'
    if (this.#underWay === 0) return undefined
    const silentMs = nowMs - this.#heardMs
    if (silentMs > this.options.stalledMs) return `it has not answered for ${Math.round(silentMs)} ms`
    return this.#underWay >= MAX_UNDER_WAY ? `${this.#underWay} requests wait for an answer` : undefined
  }

  /** A Redis whose machine is gone does not close the connection: without this, reads would wait for the kernel to give up. */
  readonly #check = (): void => {
    this.#watch = undefined
    if (this.#underWay === 0 || this.#isClosing) return
    const { clock } = this.options.platform
    const silentMs = clock.monotonicMs() - this.#heardMs
    if (silentMs > 2 * this.options.stalledMs) {
      this.#lost(`it has not answered for ${Math.round(silentMs)} ms`)
      this.redis.disconnect(true)
      return
    }
    this.#watch = clock.after(this.options.stalledMs, this.#check)
  }

  /** One line per outage: a client that cannot connect says so at every attempt. Its own end is none. */
  #lost(reason: string): void {
    if (!this.#isDown && !this.#isClosing) {
      this.options.platform.logger.warn({ reason, use: this.options.use }, 'Redis cannot be reached for features')
    }
    this.#isDown = true
  }
}
