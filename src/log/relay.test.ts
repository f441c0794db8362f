// A relay hands its records to a log in a folder; a copy of each batch stands for the wire between two processes.
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { describePredictionLog, outcome, payload, prediction } from '../../test/contract/prediction-log.js'
import { FaultyFiles, openTestLog } from '../../test/support/log.js'
import { createPlatform, testPlatform } from '../core/index.js'
import { DEFAULT_POLICY, type LogOptions } from './options.js'
import { readRecords } from './read.js'
import { createLogRelay, type LogRelay, type LogRelayOptions } from './relay.js'
import type { FileLog, StoredPrediction, StoredRecord } from './types.js'

const MiB = 1024 * 1024

function relayTo(log: FileLog, options: Partial<LogRelayOptions> = {}): LogRelay {
  const relay = createLogRelay({
    folder: log.folder,
    platform: testPlatform(),
    policy: () => DEFAULT_POLICY,
    bufferBytes: 8 * MiB,
    maxPayloadBytes: MiB,
    owner: {
      async take(batch) {
        await turn()
        return log.take(structuredClone(batch))
      },
      whenDurable: (position) => log.whenDurable(position),
      flush: () => log.flush(),
    },
    ...options,
  })
  relay.committed(log.durableThrough())
  log.onCommit(() => relay.committed(log.durableThrough()))
  return relay
}

async function open(options: Partial<LogOptions> & Partial<LogRelayOptions> = {}) {
  const { log } = await openTestLog(options)
  return { log, relay: relayTo(log, options) }
}

async function stored(log: FileLog): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  for await (const record of readRecords(log.folder)) records.push(record)
  return records
}

describePredictionLog('log relay', async (platform, policy) => {
  const { log, clock } = await openTestLog()
  return {
    log: relayTo(log, { platform: createPlatform({ ...platform, clock }), policy }),
    passRetry: () => clock.advance(1000),
  }
})

describe('a log relay', () => {
  it('keeps the order of each of several relays and of the owner, each record once', async () => {
    const { log, relay } = await open()
    const other = relayTo(log)
    for (let i = 0; i < 1200; i++) {
      relay.append(prediction({ id: `a-${i}`, payload: payload() }))
      other.append(outcome({ id: `b-${i}` }))
      log.append(outcome({ id: `c-${i}` }))
      if (i % 100 === 0) await turn()
    }
    await other.handOver()
    await relay.flush()
    const records = (await stored(log)) as { seq: number; id: string }[]
    expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: 3600 }, (_, i) => i + 1))
    for (const name of ['a', 'b', 'c']) {
      const ids = records.map(({ id }) => id).filter((id) => id.startsWith(name))
      expect(ids).toEqual(Array.from({ length: 1200 }, (_, i) => `${name}-${i}`))
    }
  })

  it('drops payloads first and then records when its own buffer is full, and says which', async () => {
    const { log, relay } = await open({ bufferBytes: 64 * 1024 })
    const large = payload({ rawInputs: JSON.stringify([{ text: 'x'.repeat(10_000) }]) })
    const receipts: number[] = []
    while (receipts.at(-1) !== 0) receipts.push(relay.append(prediction({ payload: large })))
    await relay.handOver()
    await log.flush()
    const records = (await stored(log)) as StoredPrediction[]
    expect(records).toHaveLength(receipts.length - 1)
    expect(records.filter((record) => record.payload)).toHaveLength(2)
    expect(records.at(-1)).toMatchObject({ payload: null, payloadDropped: 'pressure' })
  })

  it('has payloads and then records dropped by an owner whose buffer is full', async () => {
    const files = new FaultyFiles()
    const { log } = await openTestLog({ bufferBytes: 64 * 1024, files })
    const relay = relayTo(log)
    let isStuck = true
    let free = () => {}
    const freed = new Promise<void>((resolve) => (free = resolve))
    files.wait = (operation) => (operation === 'datasync' && isStuck ? freed : undefined)
    const large = payload({ rawInputs: JSON.stringify([{ text: 'x'.repeat(10_000) }]) })
    const outcomes: Promise<string>[] = []
    const append = () => {
      const ended = relay.whenDurable(relay.append(prediction({ payload: large })))
      outcomes.push(
        ended.then(
          () => 'durable',
          (error: { code: string }) => error.code,
        ),
      )
    }
    append()
    await relay.handOver()
    await turn()
    for (let i = 0; i < 200; i++) append()
    await relay.handOver()
    isStuck = false
    free()
    const ends = await Promise.all(outcomes)
    const durable = ends.filter((end) => end === 'durable').length
    expect(new Set(ends)).toEqual(new Set(['durable', 'LOG_DROPPED']))
    const records = (await stored(log)) as StoredPrediction[]
    expect(records).toHaveLength(durable)
    expect(records.at(-1)).toMatchObject({ id: 'prediction-1', payload: null, payloadDropped: 'pressure' })
  })

  it('rejects who waits when the owner cannot write, and when the owner is gone', async () => {
    const files = new FaultyFiles()
    const { log } = await openTestLog({ files })
    files.fail = (operation) => (operation === 'datasync' ? new Error('no space') : undefined)
    const relay = relayTo(log)
    await expect(relay.whenDurable(relay.append(outcome()))).rejects.toMatchObject({ code: 'LOG_WRITE_FAILED' })
    const gone = () => Promise.reject(new Error('gone'))
    const orphan = relayTo(log, {
      owner: { take: gone, whenDurable: gone, flush: gone },
    })
    await expect(orphan.whenDurable(orphan.append(outcome()))).rejects.toThrow('gone')
    files.fail = () => undefined
  })

  it('hands over what is left when it closes, and drops what comes later', async () => {
    const { log, relay } = await open()
    relay.append(outcome())
    await relay.close()
    expect(relay.append(outcome())).toBe(0)
    await log.flush()
    expect(await stored(log)).toHaveLength(1)
  })
})
