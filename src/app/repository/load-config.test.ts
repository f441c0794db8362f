import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../../core/index.js'
import { defaultManifest } from '../../registry/index.js'
import { checkRest, readConfig } from './load-config.js'
import { overlay, overrideText, readOverride, servedVersions } from './override.js'
import type { ModelConfig } from './types.js'

const read = (config: object) => readConfig('m', JSON.stringify(config))

const LOADED: ModelConfig = {
  name: 'm',
  platform: 'onnxruntime_onnx',
  backend: 'onnxruntime',
  version_policy: { all: {} },
  max_batch_size: 32,
  input: [
    { name: 'a', data_type: 'TYPE_FP32', dims: [3], optional: false },
    { name: 'b', data_type: 'TYPE_STRING', dims: [1], reshape: { shape: [] }, optional: false },
  ],
  output: [{ name: 'y', data_type: 'TYPE_INT64', dims: [-1] }],
  instance_group: [{ name: 'm_0', kind: 'KIND_CPU', count: 1 }],
  default_model_filename: 'model.onnx',
  parameters: {},
  model_warmup: [],
  model_transaction_policy: { decoupled: false },
  response_cache: { enable: true },
}

describe("a client's config", () => {
  it('becomes an override in the words of model.json', () => {
    const { override } = read({
      max_batch_size: '16',
      dynamic_batching: {
        preferred_batch_size: [8, 4, 8],
        max_queue_delay_microseconds: '500',
        default_queue_policy: { max_queue_size: 9 },
      },
      instance_group: [{ count: 2, kind: 'KIND_CPU' }, { count: 0 }],
      version_policy: { latest: {} },
    })
    expect(override).toEqual({
      batching: {
        enabled: true,
        maxBatchSize: 16,
        maxBatchSizeUnderPressure: 16,
        preferredBatchSizes: [4, 8],
        maxDelayMs: 0.5,
        maxQueueRows: 9,
      },
      instances: 3,
      versions: { latest: 1 },
    })
    expect(readOverride(overrideText(override)!)).toEqual(override)
  })

  it('that says nothing changes nothing', () => {
    for (const config of [{}, { name: '', instance_group: [], version_policy: { all: {} } }, { version_policy: {} }]) {
      const { override } = read(config)
      expect(overrideText(override)).toBeUndefined()
      expect(overlay(defaultManifest, override)).toBe(defaultManifest)
    }
  })

  it('without batches runs every request alone', () => {
    expect(overlay(defaultManifest, read({ max_batch_size: 0 }).override).batching.enabled).toBe(false)
  })

  it('that does not go together with model.json is refused when they are put together', () => {
    const manifest = { ...defaultManifest, batching: { ...defaultManifest.batching, allowedBatchSizes: [8, 16] } }
    expect(() => overlay(manifest, read({ max_batch_size: 4 }).override)).toThrow('allowedBatchSizes')
    const inline = { ...defaultManifest, isolation: 'inline' as const }
    expect(() => overlay(inline, read({ instance_group: [{ count: 2 }] }).override)).toThrow('instances')
  })

  it('may say again what is so anyway, as protocol buffers write it', () => {
    const again = {
      ...LOADED,
      runtime: '',
      input: [{ name: 'b', data_type: 'TYPE_STRING', dims: ['1'], format: 'FORMAT_NONE', is_shape_tensor: false }],
      optimization: { priority: 'PRIORITY_DEFAULT', input_pinned_memory: { enable: false } },
      model_metrics: null,
      metric_tags: {},
    }
    const { rest } = read(again)
    expect(() => checkRest('m', rest, [LOADED])).not.toThrow()
    // One of the versions is enough.
    expect(() => checkRest('m', rest, [{ ...LOADED, input: [] }, LOADED])).not.toThrow()
  })

  it.each<[string, object, string]>([
    ['another type', { input: [{ name: 'a', data_type: 'TYPE_INT8' }] }, 'REPOSITORY_CONFIG_INVALID'],
    ['other sizes', { input: [{ name: 'a', dims: [4] }] }, 'REPOSITORY_CONFIG_INVALID'],
    ['an output that is not there', { output: [{ name: 'z' }] }, 'REPOSITORY_CONFIG_INVALID'],
    ['another backend', { backend: 'tensorrt' }, 'REPOSITORY_CONFIG_INVALID'],
    ['many answers', { model_transaction_policy: { decoupled: true } }, 'REPOSITORY_CONFIG_UNSUPPORTED'],
    ['a parameter', { parameters: { x: { string_value: 'y' } } }, 'REPOSITORY_CONFIG_UNSUPPORTED'],
    ['an ensemble', { ensemble_scheduling: { step: [{ model_name: 'n' }] } }, 'REPOSITORY_CONFIG_UNSUPPORTED'],
    ['tags', { metric_tags: { a: 'b' } }, 'REPOSITORY_CONFIG_UNSUPPORTED'],
    ['an accelerator', { optimization: { cuda: { graphs: true } } }, 'REPOSITORY_CONFIG_UNSUPPORTED'],
  ])('is refused by name for %s', (_, config, code) => {
    const { rest } = read(config)
    expect(() => checkRest('m', rest, [LOADED])).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(`"${Object.keys(config)[0]}"`) }),
    )
  })

  it('whatever it is, is read, or refused with a code of the repository', () => {
    fc.assert(
      fc.property(
        fc.json(),
        fc.constantFrom('max_batch_size', 'dynamic_batching', 'instance_group', 'version_policy'),
        (json, key) => {
          for (const text of [json, `{"${key}": ${json}}`, `{"${key}": [${json}]}`, json.slice(1)]) {
            try {
              const { override } = readConfig('m', text)
              overlay(defaultManifest, readOverride(overrideText(override) ?? '{}'))
            } catch (error) {
              expect(error).toBeInstanceOf(HeadraceError)
              expect((error as HeadraceError).code).toMatch(/^REPOSITORY_CONFIG_|^REGISTRY_MANIFEST_INVALID$/)
            }
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('the versions served', () => {
  it('are all, the newest, or those named that are there', () => {
    expect(servedVersions([3, 1, 10], {})).toEqual([1, 3, 10])
    expect(servedVersions([3, 1, 10], { versions: { latest: 2 } })).toEqual([3, 10])
    expect(servedVersions([3, 1, 10], { versions: { specific: [1, 7] } })).toEqual([1])
  })
})
