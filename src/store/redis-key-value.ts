// KeyValue in Redis. It fails fast and never queues what Redis cannot take: callers have their own way of doing without.
// The client is loaded with the first connection, so that a server without Redis does not pay for it.
import type { Redis } from 'ioredis'
import type { Clock, Logger, Random } from '../core/index.js'
import { StoreErrors } from './errors.js'
import type { KeyValue, KeyValueEntry } from './types.js'

export interface RedisKeyValueOptions {
  /** `redis://:password@host:6379/0`; `rediss:` for TLS. Never logged. */
  readonly url: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** In front of every key; default `headrace:`. */
  readonly prefix?: string
}

export interface TokensWanted {
  readonly perSecond: number
  /** As many as there are at most; a bucket that nobody took from is full. */
  readonly burst: number
  readonly want: number
}

export interface TokensTaken {
  /** `want`, or what there was. */
  readonly granted: number
  /** Until there is one, when none was granted. */
  readonly retryAfterMs: number
}

export interface RedisKeyValue extends KeyValue {
  /** Takes from the token bucket under `key`, in one step and by Redis' own clock: those of its callers do not matter. */
  takeTokens(key: string, wanted: TokensWanted): Promise<TokensTaken>
  /** Lets commands under way end, for a moment at most, and closes the connection. */
  close(): Promise<void>
}

/** Replicas that lost the same Redis must not all come back at the same moment. */
const RECONNECT_MS = 100
const MAX_RECONNECT_MS = 3000
const CONNECT_TIMEOUT_MS = 2000
const CLOSE_LIMIT_MS = 500
/** Numbers are exact up to here; beyond it Lua and JavaScript round. */
const MAX_INTEGER = Number.MAX_SAFE_INTEGER

const COMPARE_AND_SET = `
local value = redis.call('GET', KEYS[1])
if ARGV[1] == '0' then if value then return 0 end
elseif value ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
return 1`

const INCREMENT = `
local existed = redis.call('EXISTS', KEYS[1])
local value = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(value) == 'table' then return redis.error_reply('NOTINTEGER it is no integer') end
if value > ${MAX_INTEGER} or value < -${MAX_INTEGER} then
  redis.call('DECRBY', KEYS[1], ARGV[1])
  return redis.error_reply('NOTINTEGER the sum is no exact integer')
end
if existed == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return value`

/** A full bucket is as good as none: it expires by the time it is one. Before Redis 7 a script says that its writes do not depend on its clock. */
const TAKE_TOKENS = `
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local rate, burst, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1]) or burst
local passed = math.max(0, now - (tonumber(bucket[2]) or now))
tokens = math.min(burst, tokens + passed / 1000 * rate)
local granted = math.min(want, math.floor(tokens + 1e-9))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(1e12, math.ceil((burst - tokens) / rate * 1000) + 1000)))
local wait = 0
if granted == 0 then wait = math.min(1e12, math.ceil((1 - tokens) / rate * 1000)) end
return { granted, wait }`

/** Starts connecting and does not wait for it: until there is a connection, calls reject with STORE_REDIS_FAILED. */
export async function createRedisKeyValue(options: RedisKeyValueOptions): Promise<RedisKeyValue> {
  const { Redis } = await import('ioredis')
  const { url, clock, random, logger, prefix = 'headrace:' } = options
  const redis = new Redis(url, {
    keyPrefix: prefix,
    enableAutoPipelining: true,
    enableOfflineQueue: false,
    // A command whose connection broke is not sent again by itself: nobody waits for it any more.
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: (times) =>
      Math.min(MAX_RECONNECT_MS, RECONNECT_MS * 2 ** Math.min(times, 10)) * (0.5 + random.next()),
  })
  let isDown = false
  // One line per outage: a client that cannot connect says so at every attempt.
  const lost = (reason: string): void => {
    if (!isDown) logger.warn({ reason }, 'Redis cannot be reached')
    isDown = true
  }
  redis.on('error', (error: Error) => lost(error.message))
  const onClose = (): void => lost('the connection was closed')
  redis.on('close', onClose)
  redis.on('ready', () => {
    if (isDown) logger.info({}, 'Redis can be reached again')
    isDown = false
  })
  // Its own end is no outage.
  return new RedisStore(redis, clock, () => redis.off('close', onClose))
}

class RedisStore implements RedisKeyValue {
  constructor(
    private readonly redis: Redis,
    private readonly clock: Clock,
    private readonly closing: () => void,
  ) {}

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    if (keys.length === 0) return []
    const values = await this.#try(
      keys.length === 1
        ? this.redis.getBuffer(keys[0]!).then((value) => [value])
        : this.redis.mgetBuffer(keys as string[]),
    )
    return values.map((value) => value ?? undefined)
  }

  async setMany(entries: readonly KeyValueEntry[]): Promise<void> {
    await this.#try(Promise.all(entries.map((entry) => this.#set(entry))))
  }

  async compareAndSet(key: string, expected: Uint8Array | undefined, next: Uint8Array): Promise<boolean> {
    const flag = expected === undefined ? '0' : '1'
    const won = await this.#try(
      this.redis.eval(COMPARE_AND_SET, 1, key, flag, bufferOf(expected ?? new Uint8Array(0)), bufferOf(next)),
    )
    return won === 1
  }

  async increment(key: string, by: number, ttlMs: number): Promise<number> {
    try {
      return (await this.redis.eval(INCREMENT, 1, key, by, Math.ceil(ttlMs))) as number
    } catch (error) {
      const reason = textOf(error)
      if (reason.startsWith('NOTINTEGER')) throw StoreErrors.NOT_INTEGER({ key, reason: reason.slice(11) }, error)
      throw StoreErrors.REDIS_FAILED({ reason }, error)
    }
  }

  async takeTokens(key: string, { perSecond, burst, want }: TokensWanted): Promise<TokensTaken> {
    const taken = await this.#try(this.redis.eval(TAKE_TOKENS, 1, key, perSecond, burst, want))
    const [granted, retryAfterMs] = taken as [number, number]
    return { granted, retryAfterMs }
  }

  async close(): Promise<void> {
    this.closing()
    if (this.redis.status === 'ready') {
      // A Redis that does not answer must not keep the server from ending.
      await Promise.race([
        this.redis.quit().catch(() => undefined),
        new Promise<void>((resolve) => this.clock.after(CLOSE_LIMIT_MS, resolve)),
      ])
    }
    this.redis.disconnect()
  }

  #set({ key, value, ttlMs }: KeyValueEntry): Promise<unknown> {
    if (ttlMs === undefined) return this.redis.set(key, bufferOf(value))
    // Redis refuses a time to live of 0.
    if (ttlMs <= 0) return this.redis.del(key)
    return this.redis.set(key, bufferOf(value), 'PX', Math.ceil(ttlMs))
  }

  async #try<T>(command: Promise<T>): Promise<T> {
    try {
      return await command
    } catch (error) {
      throw StoreErrors.REDIS_FAILED({ reason: textOf(error) }, error)
    }
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
