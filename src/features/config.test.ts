import { describe, expect, it } from 'vitest'
import { featuresSection, kafkaOf } from './config.js'

const brokers = ['kafka:9093']
const kafka = (given: unknown) => kafkaOf(featuresSection.parse({ kafkaBrokers: brokers, kafka: given }))

describe('the connection to Kafka', () => {
  it('is plain without a user, and TLS with one unless that is said to be unwanted', () => {
    const sasl = { mechanism: 'plain', username: 'ann', password: 'secret' }
    expect(kafka({})).toEqual({ brokers, tls: false })
    expect(kafka({ tls: true })).toEqual({ brokers, tls: true })
    expect(kafka({ username: 'ann', password: 'secret' })).toEqual({ brokers, tls: true, sasl })
    expect(kafka({ tls: false, username: 'ann', password: 'secret', mechanism: 'SCRAM-SHA-512' })).toEqual({
      brokers,
      tls: false,
      sasl: { ...sasl, mechanism: 'scram-sha-512' },
    })
  })

  it('is none without brokers', () => {
    expect(kafkaOf(featuresSection.parse({}))).toBeUndefined()
  })

  it('refuses a user without a password, and mechanisms that it does not know, without telling the password', () => {
    expect(() => kafka({ username: 'ann' })).toThrow(/username and a password/)
    const unknown = featuresSection.safeParse({ kafka: { mechanism: 'gssapi', username: 'ann', password: 'secret' } })
    expect(unknown.error?.message).toContain('scram-sha-256')
    expect(unknown.error?.message).not.toContain('secret')
  })
})
