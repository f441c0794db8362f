import { afterAll, beforeAll, describe, it, onTestFinished } from 'vitest'
import { describeStream } from '../../test/contract/stream.js'
import { kafkaMissing, startKafka, type TestKafka } from '../../test/support/kafka.js'
import { createPlatform } from '../core/index.js'
import { createKafkaStream } from './kafka-stream.js'

const missing = kafkaMissing()
let kafka: TestKafka
let topics = 0

describe('Kafka', () => {
  if (missing !== undefined) {
    it.skip(missing, () => undefined)
    return
  }
  beforeAll(async () => {
    kafka = await startKafka()
  }, 120_000)
  afterAll(() => kafka?.close())

  describeStream({
    name: 'a stream in Kafka',
    open: async () => {
      const make = () => createKafkaStream({ platform: createPlatform(), brokers: kafka.brokers })
      const streams = [make(), make()] as const
      onTestFinished(async () => {
        for (const stream of streams) await stream.close()
      })
      return streams
    },
    async newTopic() {
      const topic = `topic-${topics++}`
      await kafka.createTopic(topic)
      return topic
    },
  })
})
