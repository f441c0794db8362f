import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../core/index.js'
import { defaultManifest, readManifest } from './manifest.js'

function failure(value: unknown): HeadraceError {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  try {
    readManifest(text, 'models/fraud/3/model.json')
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('it was accepted')
}

describe('readManifest', () => {
  it('fills in every default for an empty object', () => {
    expect(readManifest('{}', 'model.json')).toEqual({
      description: '',
      features: undefined,
      labels: undefined,
      outputs: {},
      batching: { enabled: true, maxBatchSize: 32, maxDelayMs: 10, maxQueueRows: 1024 },
      instances: 1,
      isolation: 'auto',
      timeoutMs: 30_000,
      warmup: [],
      trained: undefined,
    })
    expect(readManifest('{}', 'model.json')).toEqual(defaultManifest)
  })

  it('keeps what is given and fills in the rest of a section', () => {
    const manifest = readManifest(
      JSON.stringify({
        labels: ['no', 'yes'],
        outputs: { p: 'probabilities' },
        batching: { maxBatchSize: 8, maxDelayMs: 0 },
        warmup: [{ inputs: { amount: 1.5, country: 'DE', fresh: true, age: null } }],
        trained: { anything: [1, { goes: 'here' }] },
      }),
      'model.json',
    )
    expect(manifest.batching).toEqual({ enabled: true, maxBatchSize: 8, maxDelayMs: 0, maxQueueRows: 1024 })
    expect(manifest.warmup[0]?.inputs).toEqual({ amount: 1.5, country: 'DE', fresh: true, age: null })
    expect(manifest.trained).toEqual({ anything: [1, { goes: 'here' }] })
  })

  it('has every key whatever the file gives', () => {
    const sparse = Object.keys(readManifest('{}', 'a'))
    const full = Object.keys(readManifest('{"trained":{},"labels":["a"],"features":["x"]}', 'b'))
    expect(new Set(sparse)).toEqual(new Set(full))
  })

  it('accepts a byte order mark, which Windows editors add', () => {
    expect(readManifest('\uFEFF{"description":"x"}', 'model.json').description).toBe('x')
  })

  it('reads every manifest of the example', () => {
    const folder = new URL('../../examples/shop/models/', import.meta.url)
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('model.json'),
    )
    expect(files.length).toBeGreaterThan(2)
    for (const file of files) {
      expect(readManifest(readFileSync(new URL(file, folder), 'utf8'), file).warmup.length).toBeGreaterThan(0)
    }
  })

  it('names the file, the path, the value and what is needed', () => {
    const error = failure({ batching: { maxBatchSize: '64' } })
    expect(error.code).toBe('REGISTRY_MANIFEST_INVALID')
    expect(error.status).toBe(422)
    expect(error.message).toBe(
      'models/fraud/3/model.json: "batching.maxBatchSize" is "64"; a whole number of rows, at least 1, is needed.',
    )
  })

  it('suggests the key that was meant', () => {
    expect(failure({ lables: ['a'] }).message).toContain('"lables" is not a key of model.json. Did you mean "labels"?')
    expect(failure({ batching: { maxBatchsize: 4 } }).message).toContain('Did you mean "maxBatchSize"?')
    expect(failure({ batching: { max_delay_ms: 4 } }).message).toContain('"batching.max_delay_ms"')
    expect(failure({ warmup: [{ input: {} }] }).message).toContain('Did you mean "inputs"?')
  })

  it('lists the keys when nothing is near', () => {
    expect(failure({ instance_group: [] }).message).toContain(
      'The keys there are description, features, featureService, labels',
    )
  })

  it('reports every problem at once', () => {
    const error = failure({ labels: 'a', timeoutMs: 0, warmup: [{ inputs: { x: [1] } }] })
    expect(error.params['problems']).toHaveLength(3)
    expect(error.message).toContain('has 3 problems')
    expect(error.message).toContain('"warmup[0].inputs.x" is [1]')
  })

  it.each([
    [{ labels: ['a', 'a'] }, '"labels[1]" is "a"; each name may stand there once'],
    [{ labels: [0, 1] }, 'class names are text in double quotes'],
    [{ features: [] }, 'a list of feature names is needed'],
    [{ outputs: { p: 'probability' } }, 'one of "label", "probabilities" and "value" is needed'],
    [{ isolation: 'elsewhere' }, '"isolation" is "elsewhere"; one of "auto", "inline"'],
    [{ batching: { maxDelayMs: -1 } }, '"batching.maxDelayMs" is -1'],
    [{ instances: 0 }, '"instances" is 0; a whole number of instances, at least 1'],
    [{ instances: 65 }, '"instances" is 65; at most 64 instances'],
    [{ instances: 2, isolation: 'inline' }, '"instances" is 2; with "isolation": "inline" there is one'],
    [{ batching: { maxBatchSizeUnderPressure: 8 } }, 'at least maxBatchSize is needed, which is 32'],
    [{ batching: { allowedBatchSizes: [64] } }, 'a size of at most maxBatchSize is needed, which is 32'],
    [{ batching: { allowedBatchSizes: [8, 4] } }, 'each size must be larger than the one before'],
    [{ batching: { preferredBatchSizes: [] } }, 'a list of numbers of rows is needed, such as [8, 16, 32]'],
    [{ batching: { padRows: 'last' } }, 'one of "repeat" and "zeros" is needed'],
    [{ batching: { padding: {} } }, '"batching.padding.inputs" is missing; an object such as'],
    [{ batching: { padding: { inputs: { ids: { axis: 0 } } } } }, '"batching.padding.inputs.ids.axis" is 0; a whole'],
    [{ batching: { padding: { inputs: {}, outputs: { y: 0 } } } }, '"batching.padding.outputs.y" is 0; a whole number'],
    [{ batching: { padding: { inputs: { ids: { fill: 0 } } } } }, 'The keys there are axis, value'],
    [{ batching: { padding: { inputs: {}, maskk: 'm' } } }, 'Did you mean "mask"?'],
    [[], 'the file holds []; an object is needed'],
    [null, 'the file holds null'],
    [{ description: null }, '"description" is null; text is needed'],
  ])('refuses %j', (value, message) => {
    expect(failure(value).message).toContain(message)
  })

  it('reads the rules of padding, with their defaults', () => {
    const text = JSON.stringify({
      instances: 2,
      batching: {
        allowedBatchSizes: [4, 8, 32],
        padding: { inputs: { ids: {} }, mask: 'mask', outputs: { pooled: null } },
      },
    })
    const { batching, instances } = readManifest(text, 'model.json')
    expect(instances).toBe(2)
    expect(batching.allowedBatchSizes).toEqual([4, 8, 32])
    expect(batching.padding).toEqual({
      inputs: { ids: { axis: 1, value: 0 } },
      multipleOf: 1,
      mask: 'mask',
      outputs: { pooled: null },
    })
  })

  it('names the line of a syntax error', () => {
    const error = failure('{\n  "labels": ["a"],\n}')
    expect(error.message).toContain('on line 3')
    expect(error.cause).toBeInstanceOf(SyntaxError)
  })

  it('shortens long values', () => {
    expect(failure({ isolation: 'x'.repeat(500) }).message.length).toBeLessThan(250)
  })
})
