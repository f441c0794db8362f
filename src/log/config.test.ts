import { describe, expect, it } from 'vitest'
import { endpointLogPolicy, logSection } from './config.js'

describe('the log section', () => {
  it('has a default for everything', () => {
    expect(logSection.parse({})).toEqual({
      bufferBytes: 8388608,
      segmentBytes: 67108864,
      segmentHours: 1,
      commitIntervalMs: 50,
      maxPayloadBytes: 1048576,
    })
    expect(logSection.parse(undefined)).toEqual(logSection.parse({}))
  })

  it('refuses a commit interval above what "acknowledged" promises, and names it does not know', () => {
    expect(logSection.safeParse({ commitIntervalMs: 51 }).success).toBe(false)
    expect(logSection.safeParse({ bufferByte: 1 }).success).toBe(false)
  })
})

describe("an endpoint's log section", () => {
  it('keeps everything for 30 days by default', () => {
    const all = { payloadSample: 1, redact: [], retentionDays: 30, ack: 'none' }
    expect(endpointLogPolicy.parse(undefined)).toEqual(all)
  })

  it('keeps for ever with null', () => {
    expect(endpointLogPolicy.parse({ retentionDays: null }).retentionDays).toBeUndefined()
  })

  it('refuses a share that is a percentage', () => {
    expect(endpointLogPolicy.safeParse({ payloadSample: 10 }).success).toBe(false)
  })
})
