// Kafka behind the stream interface, by kafkajs, which is loaded when it is first used. Positions are the reader's: on every assignment it is
// asked, and the partition is sought to what it says; the group's offsets are committed for those who watch the lag.
import type { Consumer, EachBatchPayload, Kafka, logLevel, Producer } from 'kafkajs'
import type { Platform } from '../core/index.js'
import type { Stream, StreamConsumer, StreamReader, StreamRecord } from './stream-types.js'

export interface KafkaStreamOptions {
  readonly platform: Platform
  /** `host:port`. */
  readonly brokers: readonly string[]
  /** Default `headrace`. */
  readonly clientId?: string
  readonly tls?: boolean
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  }
}

const RECONNECT_MS = 5_000
/** A batch that the reader could not take is given again after this, doubled at each failure in a row; each wait ends in a heartbeat. */
const FIRST_RETRY_MS = 250
const LONGEST_RETRY_MS = 3_000

export function createKafkaStream(options: KafkaStreamOptions): Stream {
  let kafka: Promise<Kafka> | undefined
  let producer: Promise<Producer> | undefined
  const consumers = new Set<StreamConsumer>()
  const connect = () => {
    kafka ??= openKafka(options)
    return kafka
  }
  const openProducer = async () => {
    const { Partitioners } = await import('kafkajs')
    const made = (await connect()).producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await made.connect()
    return made
  }
  return {
    async send(topic, records) {
      if (!producer) {
        producer = openProducer()
        producer.catch(() => {
          producer = undefined
        })
      }
      const messages = records.map(({ key, value, timestampMs }) => ({
        key: key ?? null,
        value: typeof value === 'string' ? value : Buffer.from(value),
        ...(timestampMs === undefined ? {} : { timestamp: String(timestampMs) }),
      }))
      await (await producer).send({ topic, messages })
    },
    async consume(topic, group, reader) {
      const consumer = new GroupConsumer(await connect(), options.platform, topic, group, reader)
      consumers.add(consumer)
      consumer.start()
      return {
        close: async () => {
          consumers.delete(consumer)
          await consumer.close()
        },
      }
    },
    async close() {
      for (const consumer of consumers) await consumer.close()
      await (await producer)?.disconnect()
    },
  }
}

class GroupConsumer implements StreamConsumer {
  readonly #consumer: Consumer
  /** Next offset by partition, of those that are read now. */
  readonly #next = new Map<number, number>()
  #isClosed = false
  #retry: { cancel(): void } | undefined

  constructor(
    private readonly kafka: Kafka,
    private readonly platform: Platform,
    private readonly topic: string,
    group: string,
    private readonly reader: StreamReader,
  ) {
    this.#consumer = kafka.consumer({ groupId: group, retry: { restartOnFailure: async () => !this.#isClosed } })
    // Whoever had the partitions meanwhile may be further than what is remembered here.
    const forget = () => this.#next.clear()
    this.#consumer.on(this.#consumer.events.GROUP_JOIN, forget)
    this.#consumer.on(this.#consumer.events.REBALANCING, forget)
  }

  start(): void {
    const attempt = async () => {
      if (this.#isClosed) return
      try {
        await this.#consumer.connect()
        await this.#consumer.subscribe({ topic: this.topic, fromBeginning: true })
        await this.#consumer.run({
          autoCommit: false,
          eachBatchAutoResolve: false,
          eachBatch: (payload) => this.#batch(payload),
        })
      } catch (error) {
        if (this.#isClosed) return
        this.platform.logger.warn({ err: error, topic: this.topic }, 'Kafka cannot be reached; trying again')
        this.#retry = this.platform.clock.after(RECONNECT_MS, () => void attempt())
      }
    }
    void attempt()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#retry?.cancel()
    await this.#consumer.disconnect()
  }

  async #batch({ batch, resolveOffset, heartbeat, isRunning, isStale }: EachBatchPayload): Promise<void> {
    if (!isRunning() || isStale() || batch.messages.length === 0) return
    const { partition } = batch
    const first = Number(batch.messages[0]!.offset)
    if (!this.#next.has(partition)) {
      const begin = (await this.reader.position(partition)) ?? (await this.#oldest(partition))
      this.#next.set(partition, begin)
      const last = Number(batch.lastOffset())
      if (begin < first || begin > last + 1) {
        this.#consumer.seek({ topic: this.topic, partition, offset: String(begin) })
        return
      }
    }
    const next = this.#next.get(partition)!
    const records: StreamRecord[] = []
    for (const { offset, key, value, timestamp } of batch.messages) {
      if (Number(offset) < next) continue
      records.push({
        offset: Number(offset),
        key: key === null ? undefined : key.toString(),
        value: value ?? new Uint8Array(0),
        timestampMs: Number(timestamp),
      })
    }
    // An error thrown from here would make kafkajs leave the group and join it anew: all its readers would stand still for seconds
    // whenever one reader's store is away.
    for (let waitMs = FIRST_RETRY_MS; records.length > 0; waitMs = Math.min(2 * waitMs, LONGEST_RETRY_MS)) {
      if (await this.#isTaken(partition, records)) break
      await new Promise<void>((resolve) => this.platform.clock.after(waitMs, resolve))
      await heartbeat()
      if (this.#isClosed || !isRunning() || isStale()) return
    }
    const end = batch.lastOffset()
    if (this.#next.has(partition)) this.#next.set(partition, Number(end) + 1)
    resolveOffset(end)
    await heartbeat()
    const committed = { topic: this.topic, partition, offset: String(Number(end) + 1) }
    // The position is the reader's; a group that is being rearranged refuses this, which changes nothing.
    await this.#consumer.commitOffsets([committed]).catch(() => undefined)
  }

  async #isTaken(partition: number, records: readonly StreamRecord[]): Promise<boolean> {
    try {
      await this.reader.batch(partition, records)
      return true
    } catch (error) {
      const place = { topic: this.topic, partition }
      this.platform.logger.warn({ err: error, ...place }, 'a batch could not be taken; it is given again')
      return false
    }
  }

  async #oldest(partition: number): Promise<number> {
    const admin = this.kafka.admin()
    await admin.connect()
    try {
      const offsets = await admin.fetchTopicOffsets(this.topic)
      return Number(offsets.find((one) => one.partition === partition)?.low ?? 0)
    } finally {
      await admin.disconnect()
    }
  }
}

async function openKafka({ platform, brokers, clientId = 'headrace', tls, sasl }: KafkaStreamOptions): Promise<Kafka> {
  const library = await import('kafkajs')
  const { Kafka, logLevel: levels } = library
  const { logger } = platform
  const log = (level: logLevel) => {
    if (level === levels.ERROR || level === levels.WARN) return logger.warn.bind(logger)
    return logger.debug.bind(logger)
  }
  return new Kafka({
    clientId,
    brokers: [...brokers],
    logLevel: levels.WARN,
    logCreator:
      () =>
      ({ level, log: { message, ...fields } }) =>
        log(level)({ kafka: fields }, message),
    ...(tls === undefined ? {} : { ssl: tls }),
    ...(sasl === undefined ? {} : { sasl: sasl as NonNullable<ConstructorParameters<typeof Kafka>[0]['sasl']> }),
  })
}
