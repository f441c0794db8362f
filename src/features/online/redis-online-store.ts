// The online store in Redis. A read is one MGET, whatever it asks for; reads and writes have a connection each, so that a read never waits
// behind a materialisation.
import type { ChainableCommander } from 'ioredis'
import type { Counter, Platform } from '../../core/index.js'
import type { KeyState, WindowEngine } from '../aggregate/types.js'
import { isWellFormed } from '../check-value.js'
import { compareTuples } from '../compare-values.js'
import type { CompiledWindowView } from '../compiled.js'
import { FeatureErrors } from '../errors.js'
import type { Value } from '../value.js'
import { ByteWriter, bytesText, textBytes } from './bytes.js'
import { keptUntilMs } from './keeping.js'
import { ParsedStates } from './parsed-states.js'
import { openRedisLink, type RedisLink } from './redis-link.js'
import { decodeRow, encodeRow, ROW_FORMAT } from './row-bytes.js'
import { Turns } from './turns.js'
import type {
  OnlineAnswer,
  OnlineEntry,
  OnlineRead,
  OnlineRow,
  OnlineStore,
  OnlineTable,
  PositionWrite,
  StateWrite,
  StreamPosition,
  TableMark,
} from './types.js'

export interface RedisOnlineStoreOptions {
  readonly platform: Platform
  /** `redis://:password@host:6379/0`; `rediss:` for TLS. Never logged. */
  readonly url: string
  /** In front of every key; default `headrace:features:`. */
  readonly prefix?: string
  readonly engineOf: (view: CompiledWindowView) => WindowEngine
}

type RedisKey = string | Buffer

/** A script holds Redis up for as long as it runs: about 1 ms for this many rows. */
const SCRIPT_ROWS = 200
const SCRIPTS_AT_ONCE = 8
const SCAN_KEYS = 1000
/** Of parsed window states that are kept for the next read. */
const PARSED_BYTES = 64 * 1024 * 1024
/** Readers have budgets of tens of milliseconds. */
const READS_STALLED_MS = 500
/** A large commit takes Redis a while. */
const WRITES_STALLED_MS = 5000

/** Per row its bytes and its milliseconds to live (0: for ever). Returns how many were newer, then number and bytes of each tie. */
const WRITE_ROWS = `
local written, ties = 0, {}
for i = 1, #KEYS do
  local there, row = redis.call('GET', KEYS[i]), ARGV[2 * i - 1]
  local isNewer = true
  if there and #there > 17 and string.byte(there) == ${ROW_FORMAT} then
    local event, known = struct.unpack('>dd', there, 2)
    local newEvent, newKnown = struct.unpack('>dd', row, 2)
    if newEvent < event or (newEvent == event and newKnown < known) or there == row then
      isNewer = false
    elseif newEvent == event and newKnown == known then
      isNewer = false
      ties[#ties + 1] = i
      ties[#ties + 1] = there
    end
  end
  if isNewer then
    if ARGV[2 * i] == '0' then redis.call('SET', KEYS[i], row) else redis.call('SET', KEYS[i], row, 'PX', ARGV[2 * i]) end
    written = written + 1
  end
end
return {written, ties}`

const REPLACE_ROW = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`

/** Keys: positions, tables, then states. Nothing is written, and 0 returned, when the position is not the one that is given. */
const WRITE_STATES_AFTER = `
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('SADD', KEYS[2], ARGV[4])
for i = 3, #KEYS do
  local state = ARGV[2 * i - 1]
  if state == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], state, 'PX', ARGV[2 * i]) end
end
return 1`

interface EncodedRow {
  readonly key: RedisKey
  readonly values: readonly Value[]
  readonly bytes: Buffer
  readonly ttlMs: number
}

/** `bytes` undefined: it goes. */
interface EncodedState {
  readonly key: RedisKey
  readonly bytes: Buffer | undefined
  readonly ttlMs: number
}

/** Waits for the first connection for two seconds at most. Until there is one, everything rejects with FEATURE_STORE_UNAVAILABLE. */
export async function createRedisOnlineStore(options: RedisOnlineStoreOptions): Promise<OnlineStore> {
  const { platform, url } = options
  const [reads, writes] = await Promise.all([
    openRedisLink({ platform, url, use: 'reads', stalledMs: READS_STALLED_MS }),
    openRedisLink({ platform, url, use: 'writes', stalledMs: WRITES_STALLED_MS }),
  ])
  return new RedisOnlineStore(reads, writes, options)
}

class RedisOnlineStore implements OnlineStore {
  readonly kind = 'redis'
  readonly #prefix: string
  readonly #corrupt: Counter
  readonly #parsed = new ParsedStates(PARSED_BYTES)

  constructor(
    private readonly reads: RedisLink,
    private readonly writes: RedisLink,
    private readonly options: RedisOnlineStoreOptions,
  ) {
    this.#prefix = options.prefix ?? 'headrace:features:'
    this.#corrupt = options.platform.metrics
      .counter({ name: 'ml_feature_store_corrupt_total', help: 'Stored rows and states that could not be read' })
      .with()
  }

  async read(reads: readonly OnlineRead[], atMs: number): Promise<OnlineAnswer> {
    const keys: RedisKey[] = []
    for (const read of reads) {
      const prefix = this.#rowPrefix(read.table.name)
      for (const key of read.keys) keys.push(redisKey(prefix, key))
    }
    if (keys.length === 0) return reads.map(() => [])
    const found = await this.reads.run((redis) => redis.mgetBuffer(keys))
    const turns = new Turns(this.options.platform.clock)
    const answer: (OnlineEntry | undefined)[][] = []
    let at = 0
    for (const { table, keys } of reads) {
      const entries = new Array<OnlineEntry | undefined>(keys.length)
      for (let i = 0; i < keys.length; i++) {
        const bytes = found[at++]
        entries[i] = bytes ? this.#entry(table, keys[i]!, bytes, atMs) : undefined
        const pause = turns.next(table.view.kind === 'windows' ? stateWeight(bytes) : 1)
        if (pause) await pause
      }
      answer.push(entries)
    }
    return answer
  }

  /** What cannot be read is as if it were not there: one damaged row must not take the others' values away. */
  #entry({ view, name }: OnlineTable, key: string, bytes: Buffer, atMs: number): OnlineEntry | undefined {
    try {
      if (view.kind === 'rows') return decodeRow(bytes)
      const engine = this.options.engineOf(view)
      const state = this.#parsed.get(name, key, bytes, (stored) => engine.parse(stored))
      const values = new Array<Value>(view.features.length)
      return state.read(atMs, values, 0) ? { eventMs: state.newestEventMs!, values } : undefined
    } catch (error) {
      this.#corrupt.inc()
      this.options.platform.logger.warn({ err: error, table: name }, 'a stored feature value cannot be read')
      return undefined
    }
  }

  async writeRows(table: OnlineTable, rows: readonly OnlineRow[]): Promise<number> {
    const turns = new Turns(this.options.platform.clock)
    let written = 0
    let scripts: Promise<number>[] = []
    let batch: EncodedRow[] = []
    const settle = async (): Promise<void> => {
      // All of them, also when one fails: the caller may write the same rows again at once.
      for (const script of await Promise.allSettled(scripts)) {
        if (script.status === 'rejected') throw script.reason
        written += script.value
      }
      scripts = []
    }
    for (const row of rows) {
      const encoded = this.#encode(table, row)
      if (encoded) batch.push(encoded)
      if (batch.length === SCRIPT_ROWS) {
        scripts.push(this.#writeBatch(table, batch))
        batch = []
        if (scripts.length === SCRIPTS_AT_ONCE) await settle()
      }
      const pause = turns.next()
      if (pause) await pause
    }
    if (batch.length > 0) scripts.push(this.#writeBatch(table, batch))
    await settle()
    return written
  }

  readonly #writer = new ByteWriter()

  /** undefined: it would be gone before it is there. */
  #encode({ view, name }: OnlineTable, { key, eventMs, knownMs, values }: OnlineRow): EncodedRow | undefined {
    const ttlMs = this.#ttlMs(keptUntilMs(view, eventMs))
    if (ttlMs < 0) return undefined
    encodeRow(this.#writer, eventMs, knownMs, values)
    return { key: redisKey(this.#rowPrefix(name), key), values, bytes: this.#writer.take(), ttlMs }
  }

  async #writeBatch(table: OnlineTable, batch: readonly EncodedRow[]): Promise<number> {
    const keys = batch.map(({ key }) => key)
    const parameters = batch.flatMap(({ bytes, ttlMs }) => [bytes, String(ttlMs)])
    const [, answer] = await this.#pipeline((pipeline) => {
      pipeline.sadd(`${this.#prefix}tables`, table.name)
      pipeline.callBuffer('EVAL', WRITE_ROWS, String(keys.length), ...keys, ...parameters)
    })
    const [written, ties] = answer as [number, (number | Buffer)[]]
    let total = written
    for (let i = 0; i < ties.length; i += 2) {
      total += await this.#breakTie(table, batch[(ties[i] as number) - 1]!, ties[i + 1] as Buffer)
    }
    return total
  }

  /** Rows of the same two times: the larger values win, everywhere. Scripts cannot compare them, so this takes a second round. */
  async #breakTie(table: OnlineTable, row: EncodedRow, there: Buffer): Promise<number> {
    if (compareTuples(row.values, valuesOf(there)) <= 0) return 0
    const won = await this.writes.run((redis) =>
      redis.eval(REPLACE_ROW, 1, row.key, there, row.bytes, String(row.ttlMs)),
    )
    return won === 1 ? 1 : this.#writeBatch(table, [row])
  }

  async readStates(table: OnlineTable, keys: readonly string[]): Promise<(KeyState | undefined)[]> {
    if (keys.length === 0) return []
    const engine = this.#engineOf(table)
    const prefix = this.#rowPrefix(table.name)
    const found = await this.writes.run((redis) => redis.mgetBuffer(keys.map((key) => redisKey(prefix, key))))
    const turns = new Turns(this.options.platform.clock)
    const states: (KeyState | undefined)[] = []
    for (const bytes of found) {
      states.push(bytes ? engine.parse(bytes) : undefined)
      const pause = turns.next(stateWeight(bytes))
      if (pause) await pause
    }
    return states
  }

  async writeStates(table: OnlineTable, states: readonly StateWrite[], position?: PositionWrite): Promise<void> {
    const turns = new Turns(this.options.platform.clock)
    const prefix = this.#rowPrefix(table.name)
    const writes: EncodedState[] = []
    for (const { key, state } of states) {
      const ttlMs = state?.newestEventMs === undefined ? -1 : this.#ttlMs(keptUntilMs(table.view, state.newestEventMs))
      const bytes = state === undefined || ttlMs < 0 ? undefined : bufferOf(state.serialize())
      writes.push({ key: redisKey(prefix, key), bytes, ttlMs })
      const pause = turns.next(stateWeight(bytes))
      if (pause) await pause
    }
    if (position?.after !== undefined) return this.#writeAfter(table.name, writes, position, position.after)
    await this.#transaction((transaction) => {
      for (const { key, bytes, ttlMs } of writes) {
        if (bytes) transaction.set(key, bytes, 'PX', ttlMs)
        else transaction.del(key)
      }
      if (position) {
        transaction.hset(`${this.#prefix}p:${escaped(table.name)}`, position.stream, JSON.stringify(position.at))
      }
      transaction.sadd(`${this.#prefix}tables`, table.name)
    })
  }

  async #writeAfter(
    tableName: string,
    writes: readonly EncodedState[],
    { stream, at }: PositionWrite,
    after: StreamPosition | null,
  ): Promise<void> {
    const keys = [`${this.#prefix}p:${escaped(tableName)}`, `${this.#prefix}tables`, ...writes.map(({ key }) => key)]
    const was = after === null ? '' : JSON.stringify(after)
    const parameters = [
      stream,
      was,
      JSON.stringify(at),
      tableName,
      ...writes.flatMap(({ bytes, ttlMs }) => [bytes ?? '', String(ttlMs)]),
    ]
    const written = await this.writes.run((redis) =>
      redis.eval(WRITE_STATES_AFTER, keys.length, ...keys, ...parameters),
    )
    if (written !== 1) throw FeatureErrors.POSITION_MOVED({ table: tableName, stream })
  }

  async position(table: OnlineTable, stream: string): Promise<StreamPosition | undefined> {
    const text = await this.writes.run((redis) => redis.hget(`${this.#prefix}p:${escaped(table.name)}`, stream))
    return text === null ? undefined : (JSON.parse(text) as StreamPosition)
  }

  async readMark(table: OnlineTable): Promise<TableMark | undefined> {
    const text = await this.writes.run((redis) => redis.get(`${this.#prefix}m:${escaped(table.name)}`))
    return text === null ? undefined : (JSON.parse(text) as TableMark)
  }

  async writeMark(table: OnlineTable, mark: TableMark): Promise<void> {
    await this.#transaction((transaction) => {
      transaction.set(`${this.#prefix}m:${escaped(table.name)}`, JSON.stringify(mark))
      transaction.sadd(`${this.#prefix}tables`, table.name)
    })
  }

  async *scan(table: OnlineTable): AsyncIterable<readonly string[]> {
    const prefixBytes = Buffer.byteLength(this.#rowPrefix(table.name))
    for await (const keys of this.#scan(table.name)) yield keys.map((key) => bytesText(key, prefixBytes))
  }

  async *#scan(tableName: string): AsyncIterable<readonly Buffer[]> {
    const pattern = `${this.#rowPrefix(tableName).replace(/[\\*?[\]]/g, '\\$&')}*`
    let cursor: string | Buffer = '0'
    do {
      const from: string | Buffer = cursor
      const [next, keys]: [Buffer, Buffer[]] = await this.writes.run((redis) =>
        redis.scanBuffer(from, 'MATCH', pattern, 'COUNT', SCAN_KEYS),
      )
      if (keys.length > 0) yield keys
      cursor = next.toString()
    } while (cursor !== '0')
  }

  async tables(): Promise<string[]> {
    return this.writes.run((redis) => redis.smembers(`${this.#prefix}tables`))
  }

  async drop(tableName: string): Promise<void> {
    // The mark first: what is left of a drop that was interrupted is not taken for a whole table.
    await this.writes.run((redis) => redis.unlink(`${this.#prefix}m:${escaped(tableName)}`))
    for await (const keys of this.#scan(tableName)) await this.writes.run((redis) => redis.unlink(...keys))
    await this.#transaction((transaction) => {
      transaction.unlink(`${this.#prefix}p:${escaped(tableName)}`)
      transaction.srem(`${this.#prefix}tables`, tableName)
    })
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    await Promise.all([this.reads.close(), this.writes.close()])
  }

  #ttlMs(untilMs: number): number {
    if (untilMs === Number.POSITIVE_INFINITY) return 0
    return Math.ceil(untilMs - this.options.platform.clock.nowMs()) || -1
  }

  #rowPrefix(tableName: string): string {
    return `${this.#prefix}r:${escaped(tableName)}:`
  }

  #pipeline(fill: (pipeline: ChainableCommander) => void): Promise<unknown[]> {
    return this.#execute((redis) => redis.pipeline(), fill)
  }

  /** All or nothing, also when the connection breaks on the way: without its EXEC Redis forgets it. */
  #transaction(fill: (transaction: ChainableCommander) => void): Promise<unknown[]> {
    return this.#execute((redis) => redis.multi(), fill)
  }

  #execute(
    begin: (redis: Parameters<Parameters<RedisLink['run']>[0]>[0]) => ChainableCommander,
    fill: (commands: ChainableCommander) => void,
  ): Promise<unknown[]> {
    return this.writes.run(async (redis) => {
      const commands = begin(redis)
      fill(commands)
      const answers = (await commands.exec()) ?? []
      return answers.map(([error, value]) => {
        if (error) throw error
        return value
      })
    })
  }

  #engineOf({ view, name }: OnlineTable): WindowEngine {
    if (view.kind !== 'windows') throw new TypeError(`${name} has rows, not window states`)
    return this.options.engineOf(view)
  }
}

/** In steps of a turn: after a large state it is always time to look at the clock. */
function stateWeight(bytes: Buffer | null | undefined): number {
  return bytes ? 8 + bytes.length / 1024 : 1
}

/** Names may not run into keys. */
function escaped(tableName: string): string {
  return tableName.replace(/[%:]/g, (letter) => (letter === '%' ? '%25' : '%3A'))
}

/** Text where it can be: the client is faster with it. */
function redisKey(prefix: string, key: string): RedisKey {
  const text = prefix + key
  return isWellFormed(text) ? text : textBytes(text)
}

/** A row that cannot be read loses every tie. */
function valuesOf(bytes: Buffer): readonly Value[] {
  try {
    return decodeRow(bytes).values
  } catch {
    return []
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
