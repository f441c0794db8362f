import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { describe, expect, it } from 'vitest'
import type { Endpoint, Versions } from '../../path/index.js'
import { compileRoute, version } from '../../route/index.js'
import type { ServedVersion } from '../../serving/index.js'
import { describeRows, type FeatureValue, rowsToTensors, type Signature } from '../../tensor/index.js'
import { liveKey, liveRoutes } from './live-routes.js'

const SIGNATURE: Signature = {
  batchAxis: 0,
  inputs: [
    { name: 'amount', datatype: 'FP32', shape: [-1, 1] },
    { name: 'count', datatype: 'UINT8', shape: [-1, 1] },
    { name: 'id', datatype: 'INT64', shape: [-1] },
    { name: 'new', datatype: 'BOOL', shape: [-1, 1] },
    { name: 'country', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'grid', datatype: 'FP64', shape: [-1, 2, 3] },
    { name: 'words', datatype: 'BYTES', shape: [-1, -1] },
  ],
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [-1] },
    { name: 'probabilities', datatype: 'FP32', shape: [-1, 2] },
    { name: 'score', datatype: 'FP32', shape: [-1, 1] },
  ],
}

const ROW: Record<string, FeatureValue> = {
  amount: 1.5,
  count: 255,
  id: '9007199254740993',
  new: true,
  country: 'DE',
  grid: [
    [1, 2, 3],
    [4, null, 6],
  ],
  words: ['a', 'b', 'c'],
}

function served(labels: readonly string[] | undefined): ServedVersion {
  const manifest = { description: 'A model.', features: undefined, outputs: {}, warmup: [] }
  return {
    ref: { model: 'm', version: 3 },
    digest: 'd',
    signature: SIGNATURE,
    labels,
    manifest,
  } as unknown as ServedVersion
}

const ENDPOINT = { name: 'e', route: compileRoute(version('m')), deadlineMs: 1, ack: 'none' } as unknown as Endpoint
const resolving = (version: ServedVersion): Versions => ({
  resolve: () => version,
  there: () => version,
  lastSeen: () => version,
  wake: () => undefined,
})

function schemas(labels: readonly string[] | undefined): { body: TSchema; reply: TSchema } {
  const [native] = liveRoutes([ENDPOINT], resolving(served(labels)))
  expect(native?.path).toBe('/api/v1/predict/e')
  return { body: native!.schema.body!, reply: native!.schema.response[200]! }
}

describe('the schema of an endpoint’s native call', () => {
  const { body } = schemas(['no', 'yes'])
  const rows = describeRows(SIGNATURE, { features: undefined, outputs: {} }, undefined)
  const check = Compile(body)

  it('takes what the parser takes, one row or a list', () => {
    expect(() => rowsToTensors([ROW], rows)).not.toThrow()
    expect(check.Check({ inputs: ROW })).toBe(true)
    expect(check.Check({ inputs: [ROW, ROW], unit: ['a', null], entities: { user: '1' }, outputs: ['score'] })).toBe(
      true,
    )
  })

  it.each<[string, FeatureValue]>([
    ['amount', '1.5'],
    ['count', 256],
    ['count', null],
    ['id', 1.5],
    ['new', 1],
    ['country', 7],
    ['grid', [[1, 2]]],
    ['words', [1]],
  ])('refuses what the parser refuses: %s as %j', (name, value) => {
    const row = { ...ROW, [name]: value }
    expect(() => rowsToTensors([row], rows)).toThrow()
    expect(check.Check({ inputs: row })).toBe(false)
  })

  it('refuses rows that lack a feature or have another one, and outputs there are not', () => {
    const { amount: _, ...without } = ROW
    expect(check.Check({ inputs: without })).toBe(false)
    expect(check.Check({ inputs: { ...ROW, extra: 1 } })).toBe(false)
    expect(check.Check({ inputs: ROW, outputs: ['nothing'] })).toBe(false)
  })
})

describe('the schema of an endpoint’s reply', () => {
  const reply = (outputs: object) => ({
    endpoint: 'e',
    id: 'i',
    model: 'm',
    version: 3,
    outputs,
    flags: [],
    timings: { total: 1 },
  })

  it('names the classes', () => {
    const check = Compile(schemas(['no', 'yes']).reply)
    expect(check.Check(reply({ label: 'no', probabilities: { no: 1, yes: 0 }, score: [1] }))).toBe(true)
    expect(check.Check(reply({ label: 'maybe' }))).toBe(false)
    expect(check.Check(reply({ probabilities: { no: 1 } }))).toBe(false)
    expect(
      check.Check({ endpoint: 'e', predictions: [{ id: 'i', error: { code: 'c', message: 'm' } }], timings: {} }),
    ).toBe(true)
  })

  it('leaves open what it cannot know: numeric labels, labels that nobody named, sizes that differ', () => {
    expect(Compile(schemas(['0', '1']).reply).Check(reply({ label: 1 }))).toBe(true)
    expect(Compile(schemas(undefined).reply).Check(reply({ label: 7, probabilities: [1, 2, 3] }))).toBe(true)
    expect(Compile(schemas(['a', 'b', 'c']).reply).Check(reply({ probabilities: [0.5, 0.5] }))).toBe(true)
  })
})

describe('the key of what is live', () => {
  it('changes with the version that answers, and holds endpoints that nothing answers', () => {
    const first = served(undefined)
    const key = liveKey([ENDPOINT], resolving(first))
    expect(liveKey([ENDPOINT], resolving({ ...first, digest: 'other' }))).not.toBe(key)
    const failing: Versions = {
      resolve() {
        throw new Error('not loaded')
      },
      there: () => undefined,
      lastSeen: () => first,
      wake: () => undefined,
    }
    expect(liveKey([ENDPOINT], failing)).not.toBe(key)
    expect(liveRoutes([ENDPOINT], failing)).toEqual([])
  })
})
