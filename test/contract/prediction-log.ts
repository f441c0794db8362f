// What every PredictionLog does, whatever it is kept in. `describePredictionLog` is run by each implementation's test.
import { beforeEach, describe, expect, it } from 'vitest'
import { type Platform, testPlatform } from '../../src/core/index.js'
import type {
  DecisionRecord,
  LateCallRecord,
  LogPolicy,
  OutcomeRecord,
  Payload,
  PredictionLog,
  PredictionRecord,
  StoredPrediction,
  StoredRecord,
} from '../../src/log/index.js'
import { type Tensor, type TensorMap, tensorMap } from '../../src/tensor/index.js'

export function prediction(fields: Partial<PredictionRecord> = {}): PredictionRecord {
  return {
    kind: 'prediction',
    id: 'prediction-1',
    timeMs: Date.UTC(2026, 0, 1),
    endpoint: 'fraud',
    tenant: 'default',
    unit: 'user-1',
    rows: 1,
    protocol: 'oip',
    route: [{ node: 'split', arm: 'champion', probability: 0.9 }],
    calls: [
      {
        leaf: 'fraud/2',
        model: 'fraud',
        version: 2,
        role: 'primary',
        status: 'ok',
        latencyMs: 1.25,
        queueMs: 0.5,
        batchRows: 4,
      },
    ],
    flags: ['fallback'],
    stages: { admit: 0.125, features: 0, route: 1.5, shape: 0.062 },
    cost: null,
    traceId: null,
    error: null,
    ...fields,
  }
}

export function lateCall(fields: Partial<LateCallRecord> = {}): LateCallRecord {
  return {
    kind: 'call',
    id: 'call-1',
    timeMs: Date.UTC(2026, 0, 1),
    prediction: 'prediction-1',
    endpoint: 'fraud',
    tenant: 'default',
    call: { ...prediction().calls[0]!, role: 'shadow', leaf: 'fraud/3', version: 3 },
    ...fields,
  }
}

export function outcome(fields: Partial<OutcomeRecord> = {}): OutcomeRecord {
  return {
    kind: 'outcome',
    id: 'outcome-1',
    timeMs: Date.UTC(2026, 0, 2),
    prediction: 'prediction-1',
    endpoint: 'fraud',
    tenant: 'default',
    name: 'is_fraud',
    value: true,
    happenedMs: Date.UTC(2026, 0, 1, 12),
    knownMs: Date.UTC(2026, 0, 2),
    ...fields,
  }
}

export function decision(fields: Partial<DecisionRecord> = {}): DecisionRecord {
  return {
    kind: 'decision',
    id: 'decision-1',
    timeMs: Date.UTC(2026, 0, 1),
    change: 'alias.set',
    subject: 'fraud/champion',
    by: 'person ada',
    ...fields,
  }
}

export function tensors(...list: Tensor[]): TensorMap {
  return tensorMap(list)
}

/** A payload of one matrix and one output, encoded from tensors. */
export function payload(fields: Partial<Payload> = {}): Payload {
  return {
    inputs: tensors({ name: 'x', datatype: 'FP64', shape: [1, 3], data: Float64Array.of(1, 2.5, Number.NaN) }),
    features: ['age', 'income', 'ssn'],
    outputs: [
      { call: 0, tensors: tensors({ name: 'score', datatype: 'FP32', shape: [1], data: Float32Array.of(0.5) }) },
    ],
    ...fields,
  }
}

export interface LogUnderTest {
  readonly log: PredictionLog
  /** Lets a pause before a repetition pass. */
  passRetry(): void
}

export type MakeLog = (platform: Platform, policy: (endpoint: string) => LogPolicy) => Promise<LogUnderTest>

/** Collects what a subscription delivers; `until` resolves when `count` records have come. */
export class Collector {
  readonly records: StoredRecord[] = []
  #waiting: { count: number; resolve: () => void }[] = []

  readonly take = async (batch: StoredRecord[]): Promise<void> => {
    this.records.push(...batch)
    for (const { count, resolve } of this.#waiting) if (this.records.length >= count) resolve()
  }

  until(count: number): Promise<void> {
    if (this.records.length >= count) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ count, resolve }))
  }
}

export function describePredictionLog(name: string, make: MakeLog): void {
  describe(`${name} as a PredictionLog`, () => {
    let policy: LogPolicy
    let platform: Platform
    let log: PredictionLog
    let passRetry: () => void

    beforeEach(async () => {
      policy = { payloadSample: 1, redact: [], retentionDays: 30, payloadRetentionDays: undefined }
      platform = testPlatform()
      const made = await make(platform, () => policy)
      log = made.log
      passRetry = made.passRetry
    })

    const stored = async (count: number): Promise<StoredRecord[]> => {
      const collector = new Collector()
      const stop = log.subscribe(1, collector.take)
      await collector.until(count)
      stop()
      return collector.records
    }
    const storedPayload = async (): Promise<StoredPrediction['payload']> =>
      ((await stored(1))[0] as StoredPrediction).payload

    it('gives records back as they were appended, with positions from 1', async () => {
      const records = [prediction(), lateCall(), outcome(), decision()]
      const positions = records.map((record) => log.append(record))
      await log.whenDurable(4)
      expect(positions).toEqual([1, 2, 3, 4])
      expect(log.durableThrough()).toBe(4)
      expect(await stored(4)).toEqual(records.map((record, i) => ({ seq: i + 1, ...record })))
    })

    it('keeps text that needs escaping, in every script', async () => {
      const nasty = 'a "quoted" \\ back\nslash\t\u0000 ünï 日本語 🙂 </script>\u2028'
      const record = prediction({ unit: nasty, tenant: nasty, error: nasty, flags: [nasty], traceId: nasty })
      await log.whenDurable(log.append(record))
      expect((await stored(1))[0]).toEqual({ seq: 1, ...record })
    })

    it('rejects waiting for a dropped record', async () => {
      await expect(log.whenDurable(0)).rejects.toMatchObject({ code: 'LOG_DROPPED' })
    })

    it('writes raw payload text as it came, on one line', async () => {
      const raw = '[{"name":"x","datatype":"INT64","shape":[1,2],\n"data":[[9007199254740993,\r\n 2]],"extra":"a\\nb"}]'
      const rawOutput = Buffer.from('[ {"name":"score", "datatype":"FP32",\n"shape":[1],"data":[0.25]} ]')
      const outputs = [{ call: 0, tensors: tensors(), raw: rawOutput }]
      await log.whenDurable(log.append(prediction({ payload: payload({ rawInputs: raw, outputs }) })))
      expect(await storedPayload()).toEqual({
        weight: 1,
        inputs: [{ name: 'x', datatype: 'INT64', shape: [1, 2], data: ['9007199254740993', 2], extra: 'a\nb' }],
        outputs: [{ call: 0, tensors: [{ name: 'score', datatype: 'FP32', shape: [1], data: [0.25] }] }],
      })
    })

    it('does not trust raw text that only some readers of JSON take', async () => {
      const inputs = tensors({ name: 'x', datatype: 'BYTES', shape: [1], data: [Buffer.of(0xff)] })
      const escaped = '[{"name":"x","datatype":"BYTES","shape":[1],"data":["\\ud800"]}]'
      const invalid = Buffer.concat([Buffer.from('[{"data":["'), Buffer.of(0xff), Buffer.from('"]}]')])
      for (const rawInputs of [escaped, Buffer.from(escaped), invalid, new Uint8Array(invalid)]) {
        log.append(prediction({ payload: payload({ inputs, rawInputs }) }))
      }
      await log.whenDurable(4)
      const data = (await stored(4)).map((record) => (record as StoredPrediction).payload?.inputs[0]?.data)
      expect(data).toEqual(Array(4).fill([{ b64: '/w==' }]))
    })

    it('encodes tensors when there is no raw text, and a copy of them', async () => {
      const data = Float64Array.of(1, Number.POSITIVE_INFINITY)
      const inputs = tensors({ name: 'x', datatype: 'FP64', shape: [2], data })
      const position = log.append(prediction({ payload: payload({ inputs }) }))
      data.fill(7)
      await log.whenDurable(position)
      expect((await storedPayload())?.inputs).toEqual([
        { name: 'x', datatype: 'FP64', shape: [2], data: [1, 'Infinity'] },
      ])
    })

    it('redacts columns of a matrix by feature name, and never uses the raw text then', async () => {
      policy = { ...policy, redact: ['ssn'] }
      const raw = '[{"name":"x","datatype":"FP64","shape":[1,3],"data":[1,2.5,123456789]}]'
      await log.whenDurable(log.append(prediction({ payload: payload({ rawInputs: raw }) })))
      expect((await storedPayload())?.inputs[0]?.data).toEqual([1, 2.5, null])
    })

    it('redacts whole inputs by name, in late calls too', async () => {
      policy = { ...policy, redact: ['x'] }
      await log.whenDurable(log.append(lateCall({ payload: payload() })))
      const [record] = await stored(1)
      expect(record).toMatchObject({ payload: { inputs: [{ name: 'x', data: [null, null, null] }] } })
    })

    it('samples payloads with their weight, and never headers', async () => {
      policy = { ...policy, payloadSample: 0.25 }
      const count = 2000
      for (let i = 0; i < count; i++) log.append(prediction({ id: platform.ids.next(), payload: payload() }))
      await log.whenDurable(count)
      const records = (await stored(count)) as StoredPrediction[]
      const kept = records.filter((record) => record.payload)
      expect(new Set(kept.map((record) => record.payload?.weight))).toEqual(new Set([4]))
      // Binomial(2000, 1/4) has a standard deviation of 19.4: this is five of them.
      expect(Math.abs(kept.length - count / 4)).toBeLessThan(97)
    })

    it('keeps the payload of a prediction and of its shadow call together', async () => {
      policy = { ...policy, payloadSample: 0.5 }
      for (let i = 0; i < 100; i++) {
        const id = platform.ids.next()
        log.append(prediction({ id, payload: payload() }))
        log.append(lateCall({ prediction: id, payload: payload() }))
      }
      await log.whenDurable(200)
      const kept = (await stored(200)).map((record) => 'payload' in record)
      for (let i = 0; i < 200; i += 2) expect(kept[i + 1]).toBe(kept[i])
      expect(new Set(kept).size).toBe(2)
    })

    it('delivers from the position asked for, one batch at a time and in order, then follows', async () => {
      for (let i = 0; i < 5; i++) log.append(outcome({ id: `before-${i}` }))
      await log.whenDurable(5)
      let running = 0
      const collector = new Collector()
      const stop = log.subscribe(3, async (batch) => {
        expect(++running).toBe(1)
        await new Promise((resolve) => setImmediate(resolve))
        running--
        await collector.take(batch)
      })
      await collector.until(3)
      for (let i = 0; i < 5; i++) await log.whenDurable(log.append(outcome({ id: `after-${i}` })))
      await collector.until(8)
      stop()
      expect(collector.records.map((record) => record.seq)).toEqual([3, 4, 5, 6, 7, 8, 9, 10])
    })

    it('repeats a batch that was not taken', async () => {
      log.append(outcome())
      await log.whenDurable(1)
      const collector = new Collector()
      let failures = 0
      const stop = log.subscribe(1, async (batch) => {
        if (failures++ === 0) {
          setImmediate(passRetry)
          throw new Error('the reader is not ready')
        }
        await collector.take(batch)
      })
      await collector.until(1)
      stop()
      expect(failures).toBe(2)
      expect(collector.records.map((record) => record.seq)).toEqual([1])
    })

    it('delivers nothing after stop', async () => {
      const collector = new Collector()
      const stopped = new Collector()
      log.subscribe(1, stopped.take)()
      const stop = log.subscribe(1, collector.take)
      await log.whenDurable(log.append(outcome()))
      await collector.until(1)
      stop()
      stop()
      expect(stopped.records).toEqual([])
    })
  })
}
