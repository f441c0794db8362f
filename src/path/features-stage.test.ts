import { describe, expect, it } from 'vitest'
import { type EndpointName, HeadraceError, ManualClock, type ModelName, testPlatform } from '../core/index.js'
import {
  column,
  compileFeatures,
  createFeatureReader,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  type EntityValue,
  pushSource,
} from '../features/index.js'
import type { LogRecord, PredictionRecord } from '../log/index.js'
import { compileRoute, fallback, type VersionLeaf, version } from '../route/index.js'
import type { LeafInput, ServedVersion } from '../serving/index.js'
import type { Endpoint } from './endpoint.js'
import { Given } from './given.js'
import { createPath } from './path.js'
import { Prediction } from './prediction.js'

const user = defineEntity('user', { keys: { user_id: 'int64' } })
const events = pushSource('events', { columns: { user_id: 'int64', spend: 'float64', visits: 'float64' } })
const view = (name: string) =>
  defineFeatureView(name, { entities: [user], stream: events, features: { [name]: column('float64') } })
const project = compileFeatures([
  defineFeatureService('first', [view('spend')]),
  defineFeatureService('second', [view('visits')]),
])

/** A fallback from `first` to `second`, which nobody has asked for before. */
function setUp() {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const reads: string[][] = []
  const features = createFeatureReader({
    platform,
    project,
    tables: { live: (of) => ({ view: of, name: `${of.table}.1` }) },
    store: {
      read(asked) {
        reads.push(asked.map(({ table }) => table.view.name))
        return asked.map(({ table, keys }) =>
          keys.map((key) =>
            key === '404'
              ? undefined
              : { eventMs: 0, values: [Number(key) + (table.view.name === 'visits' ? 0.5 : 0)] },
          ),
        )
      },
    },
  })
  const seen = new Map<string, number[]>()
  const served = (model: string, input: string, featureService: string, isWell: boolean): ServedVersion => {
    const ref = { model: model as ModelName, version: 1 }
    return {
      ref,
      key: `${model}/1`,
      signature: {
        inputs: [{ name: input, datatype: 'FP32', shape: [-1] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
        batchAxis: 0,
      },
      manifest: { featureService, outputs: {} },
      labels: undefined,
      leaf: {
        version: ref,
        call: async ({ tensors }: LeafInput) => {
          seen.set(model, Array.from(tensors.get(input)!.data as Float32Array))
          if (!isWell) throw new HeadraceError('SERVING_RUN_FAILED', 'it failed', 500, true, 'warn', {})
          return { outputs: new Map(), queueMs: 0, computeMs: 0, batchRows: 1 }
        },
      },
    } as unknown as ServedVersion
  }
  const first = served('first', 'spend', 'first', false)
  const second = served('second', 'visits', 'second', true)
  let isAwake = false
  const there = ({ model }: VersionLeaf) => (model === 'first' ? first : isAwake ? second : undefined)
  const records: LogRecord[] = []
  const path = createPath({
    platform,
    features,
    log: {
      append: (record) => records.push(record),
      durableThrough: () => 0,
      whenDurable: async () => {},
      subscribe: () => () => {},
    },
    versions: {
      there,
      resolve(leaf) {
        const found = there(leaf)
        if (found === undefined) throw new HeadraceError('SERVING_MODEL_NOT_FOUND', 'rests', 404, false, 'info', {})
        return found
      },
      lastSeen: () => undefined,
      wake: ({ model }) => {
        if (model === 'first' || isAwake) return undefined
        isAwake = true
        return Promise.resolve()
      },
    },
  })
  const endpoint: Endpoint = {
    name: 'e' as EndpointName,
    route: compileRoute(fallback({ name: 'safe', arms: [version('first', 1), version('second', 1)] })),
    deadlineMs: 1000,
    ack: 'none',
  }
  let ids = 0
  const predict = async (keys: readonly EntityValue[], over: { given?: Given; givenRow?: number } = {}) => {
    const prediction = new Prediction({
      id: `p${ids++}`,
      endpoint,
      protocol: 'native',
      tenant: 'default',
      unit: undefined,
      traceId: undefined,
      tensors: new Map(),
      given: over.given ?? new Given(keys.length, new Map([['user_id', keys]]), new Map(), new Map()),
      givenRow: over.givenRow,
      features: path.featuresOf(endpoint, undefined),
      rawInputs: undefined,
      outputs: undefined,
      pinned: undefined,
      timeoutMs: undefined,
      arrivedMs: clock.monotonicMs(),
      shaper: (shaped) => {
        shaped.reply = 'reply'
      },
      wire: undefined,
    })
    await path.predict(prediction)
    return prediction
  }
  return { reads, seen, records: records as PredictionRecord[], predict }
}

describe('a version that is loaded while a request is on its way', () => {
  it('is read for by itself, and what it was served is in the log and the flags', async () => {
    const { predict, reads, seen, records } = setUp()
    const { error, served, flags } = await predict([7, 404])
    expect([error, served?.key, seen.get('first'), seen.get('second')]).toEqual([
      undefined,
      'second/1',
      [7, Number.NaN],
      [7.5, Number.NaN],
    ])
    expect(reads).toEqual([['spend'], ['visits']])
    expect(flags).toContain('features-default')
    const { columns } = records[0]!.payload!.served!
    expect(columns.plan.services.map(({ name }) => name)).toEqual(['first', 'second'])
    expect(columns.plan.features.map(({ name }) => name)).toEqual(['spend', 'visits'])
    expect(columns.values).toEqual([
      [7, null],
      [7.5, null],
    ])
    expect(columns.plan.features.map(({ services }) => services)).toEqual([['first'], ['second']])
    // From now on it is of the endpoint's plan.
    await predict([8])
    expect(reads.slice(2)).toEqual([['spend', 'visits']])
  })

  it('is read for once, for all rows of a list', async () => {
    const { predict, reads } = setUp()
    const given = new Given(3, new Map([['user_id', [1, 2, 3]]]), new Map(), new Map())
    const all = await Promise.all([0, 1, 2].map((givenRow) => predict([], { given, givenRow })))
    expect(all.map(({ error }) => error)).toEqual([undefined, undefined, undefined])
    expect(all.map(({ tensors }) => [...tensors.get('visits')!.data])).toEqual([[1.5], [2.5], [3.5]])
    expect(reads).toEqual([['spend'], ['visits']])
  })
})

describe('a list with a key of the wrong type', () => {
  it('is refused for all of its rows, after one look', async () => {
    const { predict } = setUp()
    let looks = 0
    const keys = {
      get length() {
        return 3
      },
      get 0() {
        looks++
        return 1
      },
      1: 'none',
      2: 3,
    } as unknown as readonly EntityValue[]
    const given = new Given(3, new Map([['user_id', keys]]), new Map(), new Map())
    const all = await Promise.all([0, 1, 2].map((givenRow) => predict([], { given, givenRow })))
    expect(all.map(({ error }) => error?.code)).toEqual(['FEATURE_KEY_TYPE', 'FEATURE_KEY_TYPE', 'FEATURE_KEY_TYPE'])
    expect(looks).toBeLessThanOrEqual(2)
  })
})
