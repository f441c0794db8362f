// A stream in this process: for projects without Kafka, and for tests. What it holds is gone with the process.
import type { Platform } from '../core/index.js'
import type { SentRecord, Stream, StreamConsumer, StreamReader, StreamRecord } from './stream-types.js'

export interface MemoryStreamOptions {
  readonly platform: Platform
  /** Of every topic; default 4. */
  readonly partitions?: number
}

const BATCH = 500
const RETRY_MS = 1_000

export function createMemoryStream({ platform, partitions = 4 }: MemoryStreamOptions): Stream {
  const topics = new Map<string, Topic>()
  const topicOf = (name: string) => {
    let topic = topics.get(name)
    if (!topic) {
      topic = new Topic(platform, partitions)
      topics.set(name, topic)
    }
    return topic
  }
  return {
    send: async (topic, records) => topicOf(topic).send(records),
    consume: async (topic, group, reader) => topicOf(topic).join(group, reader),
    async close() {
      for (const topic of topics.values()) await topic.close()
    },
  }
}

interface Member {
  readonly reader: StreamReader
  /** Resolve when their partition is not read any more. */
  readonly pumps: Map<number, { stop: () => void; readonly ended: Promise<void> }>
}

class Topic {
  readonly #partitions: StreamRecord[][]
  readonly #groups = new Map<string, Member[]>()
  #wake = new Set<() => void>()
  #rebalancing: Promise<void> = Promise.resolve()

  constructor(
    private readonly platform: Platform,
    partitions: number,
  ) {
    this.#partitions = Array.from({ length: partitions }, () => [])
  }

  send(records: readonly SentRecord[]): void {
    for (const { key, value, timestampMs = this.platform.clock.nowMs() } of records) {
      const records = this.#partitions[key === undefined ? 0 : hash(key) % this.#partitions.length]!
      const bytes = typeof value === 'string' ? Buffer.from(value) : value
      records.push({ offset: records.length, key, value: bytes, timestampMs })
    }
    this.#wakeAll()
  }

  async join(group: string, reader: StreamReader): Promise<StreamConsumer> {
    const member: Member = { reader, pumps: new Map() }
    const members = this.#groups.get(group) ?? []
    this.#groups.set(group, members)
    members.push(member)
    await this.#rebalance(members)
    return {
      close: async () => {
        const at = members.indexOf(member)
        if (at < 0) return
        members.splice(at, 1)
        await stop([...member.pumps.values()])
        await this.#rebalance(members)
      },
    }
  }

  async close(): Promise<void> {
    for (const members of this.#groups.values()) {
      for (const member of members.splice(0)) await stop([...member.pumps.values()])
    }
  }

  /** Takes partitions from those who have too many, waits until they are done with them, and gives them to others. */
  #rebalance(members: readonly Member[]): Promise<void> {
    this.#rebalancing = this.#rebalancing.then(async () => {
      const ownerOf = (partition: number) => members[partition % members.length]
      for (const member of members) {
        const lost = [...member.pumps].filter(([partition]) => ownerOf(partition) !== member)
        for (const [partition] of lost) member.pumps.delete(partition)
        await stop(lost.map(([, pump]) => pump))
      }
      for (let partition = 0; partition < this.#partitions.length; partition++) {
        const owner = ownerOf(partition)
        if (owner && !owner.pumps.has(partition)) owner.pumps.set(partition, this.#pump(partition, owner.reader))
      }
    })
    return this.#rebalancing
  }

  #pump(partition: number, reader: StreamReader) {
    const records = this.#partitions[partition]!
    let isStopped = false
    const run = async () => {
      let at: number | undefined
      while (!isStopped) {
        try {
          at ??= (await reader.position(partition)) ?? 0
          const batch = records.slice(at, at + BATCH)
          if (batch.length === 0) {
            await this.#more(() => isStopped || at! < records.length)
            continue
          }
          await reader.batch(partition, batch)
          at += batch.length
        } catch (error) {
          this.platform.logger.warn({ err: error, partition }, 'records of a stream could not be read; trying again')
          at = undefined
          if (!isStopped) await this.#pause()
        }
      }
    }
    const ended = run()
    const stopPump = () => {
      isStopped = true
      this.#wakeAll()
    }
    return { stop: stopPump, ended }
  }

  #more(isThere: () => boolean): Promise<void> {
    if (isThere()) return Promise.resolve()
    return new Promise((resolve) => this.#wake.add(resolve))
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.platform.clock.after(RETRY_MS, resolve)
      this.#wake.add(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #wakeAll(): void {
    const waiting = this.#wake
    this.#wake = new Set()
    for (const wake of waiting) wake()
  }
}

async function stop(pumps: readonly { stop: () => void; readonly ended: Promise<void> }[]): Promise<void> {
  for (const pump of pumps) pump.stop()
  await Promise.all(pumps.map(({ ended }) => ended))
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}
