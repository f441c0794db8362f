// What every stream does.
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Stream, StreamReader, StreamRecord } from '../../src/store/index.js'

export interface StreamCase {
  readonly name: string
  /** Two clients of one stream; the same one twice where there is only one. */
  open(): Promise<readonly [Stream, Stream]>
  newTopic(): Promise<string>
}

interface Seen extends StreamReader {
  readonly values: string[]
  readonly partitions: Set<number>
  readonly records: StreamRecord[]
}

/** Remembers positions as a reader's store does. */
function reading(positions: Map<number, number>, fail?: () => boolean): Seen {
  const seen: Seen = {
    values: [],
    partitions: new Set(),
    records: [],
    position: async (partition) => positions.get(partition),
    async batch(partition, records) {
      if (fail?.()) throw new Error('not now')
      for (const record of records) {
        seen.values.push(Buffer.from(record.value).toString())
        seen.records.push(record)
      }
      seen.partitions.add(partition)
      positions.set(partition, records.at(-1)!.offset + 1)
    },
  }
  return seen
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({
    key: `k${(from + i) % 11}`,
    value: String(from + i),
    timestampMs: 1_000 + i,
  }))
const sorted = (values: readonly string[]) => values.map(Number).sort((a, b) => a - b)
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i)
/** A Kafka group needs seconds to be arranged, more on a busy machine. */
const slow = { timeout: 60_000 }

export function describeStream({ name, open, newTopic }: StreamCase): void {
  describe(name, { timeout: 180_000 }, () => {
    it('gives each record once, those of a key in their order, with key and timestamp', async () => {
      const [stream] = await open()
      const topic = await newTopic()
      await stream.send(topic, numbers(0, 200))
      const seen = reading(new Map())
      const consumer = await stream.consume(topic, 'readers', seen)
      onTestFinished(() => consumer.close())
      await expect.poll(() => seen.values.length, slow).toBe(200)
      await stream.send(topic, numbers(200, 250))
      await expect.poll(() => seen.values.length, slow).toBe(250)
      expect(sorted(seen.values)).toEqual(upTo(250))
      const ofOne = seen.records
        .filter(({ key }) => key === 'k3')
        .map(({ value }) => Number(Buffer.from(value).toString()))
      expect(ofOne).toEqual([...ofOne].sort((a, b) => a - b))
      expect(seen.records.find(({ value }) => Buffer.from(value).toString() === '7')).toMatchObject({
        key: 'k7',
        timestampMs: 1_007,
      })
    })

    it('begins where the reader says, whatever the group remembers', async () => {
      const [stream] = await open()
      const topic = await newTopic()
      await stream.send(topic, numbers(0, 100))
      const positions = new Map<number, number>()
      const first = reading(positions)
      const consumer = await stream.consume(topic, 'readers', first)
      await expect.poll(() => first.values.length, slow).toBe(100)
      await consumer.close()
      const again = reading(new Map([...positions].map(([partition, offset]) => [partition, Math.max(0, offset - 2)])))
      const next = await stream.consume(topic, 'readers', again)
      onTestFinished(() => next.close())
      await stream.send(topic, numbers(100, 150))
      await expect.poll(() => again.values.includes('149') && sorted(again.values).at(-1) === 149, slow).toBe(true)
      await expect.poll(() => again.values.length, slow).toBe(50 + 2 * positions.size)
    })

    it('shares partitions among the readers of a group and hands them over', async () => {
      const [one, two] = await open()
      const topic = await newTopic()
      const positions = new Map<number, number>()
      const [a, b] = [reading(positions), reading(positions)]
      const first = await one.consume(topic, 'readers', a)
      await one.send(topic, numbers(0, 100))
      await expect.poll(() => a.values.length, slow).toBe(100)
      const second = await two.consume(topic, 'readers', b)
      let sent = 100
      // Both get some once the group has been rearranged.
      await expect
        .poll(async () => {
          await one.send(topic, numbers(sent, sent + 22))
          sent += 22
          return b.values.length > 0
        }, slow)
        .toBe(true)
      await first.close()
      await one.send(topic, numbers(sent, sent + 22))
      sent += 22
      await expect.poll(() => a.values.length + b.values.length, slow).toBe(sent)
      expect(sorted([...a.values, ...b.values])).toEqual(upTo(sent))
      await second.close()
    })

    it('gives records again that the reader could not take', async () => {
      const [stream] = await open()
      const topic = await newTopic()
      let failures = 2
      const seen = reading(new Map(), () => failures-- > 0)
      const consumer = await stream.consume(topic, 'readers', seen)
      onTestFinished(() => consumer.close())
      await stream.send(topic, numbers(0, 20))
      await expect.poll(() => seen.values.length, slow).toBe(20)
      expect(sorted(seen.values)).toEqual(upTo(20))
    })
  })
}
