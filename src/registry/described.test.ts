import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../test/support/temp-folder.js'
import type { HeadraceError } from '../core/index.js'
import { testPlatform } from '../core/index.js'
import { createFileSource } from './file-source.js'
import { readPipelineFile } from './pipeline-file.js'
import { pushVersion } from './push.js'
import { readRemoteFile } from './remote-file.js'

function problems(read: () => unknown): readonly string[] {
  try {
    read()
  } catch (error) {
    return (error as HeadraceError).params['problems'] as string[]
  }
  throw new Error('it was accepted')
}

describe('readRemoteFile', () => {
  const read = (value: object) => readRemoteFile(JSON.stringify(value), 'remote.json')
  const good = { url: 'http://triton:8000', model: 'resnet' }

  it('fills in every default', () => {
    expect(read(good)).toEqual({
      url: 'http://triton:8000',
      model: 'resnet',
      version: undefined,
      headers: {},
      timeoutMs: undefined,
      maxInFlight: 64,
      maxBatchSize: undefined,
      maxReplyBytes: 67_108_864,
      probeMs: 5000,
      binary: undefined,
      batchAxis: undefined,
      signature: undefined,
    })
  })

  it('takes a version as text or number, an address with a path, and a signature', () => {
    const signature = {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3], optional: true }],
      outputs: [{ name: 'y', datatype: 'BYTES', shape: [] }],
    }
    const remote = read({ ...good, url: 'https://host/base/', version: 3, signature, batchAxis: null })
    expect(remote).toMatchObject({ url: 'https://host/base', version: '3', batchAxis: null })
    expect(remote.signature).toEqual({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3], isOptional: true }],
      outputs: [{ name: 'y', datatype: 'BYTES', shape: [] }],
    })
  })

  it.each([
    [{}, '"url" is missing'],
    [{ url: 'triton:8001' }, 'begins with http://'],
    [{ url: 'http://user:secret@host' }, 'send them in "headers"'],
    [{ url: 'http://host/?a=1' }, 'without "?"'],
    [{ url: 'grpc://host:8001/path' }, 'gRPC has no paths'],
    [{ url: 'grpc://host' }, 'a port is needed'],
    [{ model: '' }, 'text that is not empty'],
    [{ headers: { 'Content-Length': '3' } }, 'set by itself'],
    [{ headers: { 'a b': '3' } }, 'cannot be that of a header'],
    [{ headers: { a: 'x\ny' } }, 'cannot have such a value'],
    [{ headers: { a: `\${no-name}` } }, 'does not name an environment variable'],
    [{ maxInFlight: 0 }, 'a whole number of requests'],
    [{ batchAxis: 1 }, '0 (the first axis'],
    [{ signature: { inputs: [], outputs: [] } }, 'at least one tensor'],
    [{ signature: { inputs: [{ name: 'x', datatype: 'FLOAT', shape: [1] }] } }, 'one of BOOL'],
    [{ modell: 'x' }, 'Did you mean "model"?'],
  ])('refuses %j', (parts, message) => {
    const value = Object.keys(parts).length === 0 ? {} : { ...good, ...parts }
    expect(problems(() => read(value)).join('\n')).toContain(message)
  })

  it('shows no header values', () => {
    const text = problems(() => read({ ...good, url: 'x', headers: { a: 's3cret\n', b: 'ok' } })).join('\n')
    expect(text).not.toContain('s3cret')
  })
})

describe('readPipelineFile', () => {
  const step = (name: string, inputs: object, more: object = {}) => ({ name, model: 'm', version: 1, inputs, ...more })
  const read = (value: object) => readPipelineFile(JSON.stringify(value), 'pipeline.json')

  it('orders steps after those whose outputs they take, and tells steps from names with dots', () => {
    const pipeline = read({
      steps: [step('rank', { v: 'embed.vec.tor', p: 'price.eur' }), step('embed', { x: 'image' })],
      outputs: { score: 'rank.value' },
    })
    expect(pipeline.inputs).toBeUndefined()
    expect(pipeline.steps.map(({ name }) => name)).toEqual(['embed', 'rank'])
    expect([...pipeline.steps[1]!.inputs]).toEqual([
      ['v', { step: 'embed', tensor: 'vec.tor' }],
      ['p', { step: undefined, tensor: 'price.eur' }],
    ])
    expect([...pipeline.outputs]).toEqual([['score', { step: 'rank', tensor: 'value' }]])
  })

  it.each<[string, object, string]>([
    ['no step', { steps: [], outputs: { y: 'a.y' } }, 'at least one step'],
    ['no output', { steps: [step('a', { x: 'i' })], outputs: {} }, '"outputs" names no output'],
    [
      'a version that moves',
      { steps: [step('a', { x: 'i' }, { version: 'latest' })], outputs: { y: 'a.y' } },
      'the number of a version is needed: a version never changes, so what it is made of is pinned',
    ],
    [
      'two steps of one name',
      { steps: [step('a', { x: 'i' }), step('a', { x: 'i' })], outputs: { y: 'a.y' } },
      'two steps are named "a"',
    ],
    [
      'a dot in a name',
      { steps: [step('a.b', { x: 'i' })], outputs: { y: 'a.y' } },
      'would look like the end of the name',
    ],
    [
      'an output of no step',
      { steps: [step('embed', { x: 'i' })], outputs: { y: 'embd.y', z: 'embed.z' } },
      'did you mean step "embed"',
    ],
    [
      'an input as output',
      { steps: [step('embed', { x: 'i' })], outputs: { y: 'i', z: 'embed.z' } },
      'write "<step>.<output>"',
    ],
    [
      'a step for nobody',
      { steps: [step('a', { x: 'i' }), step('b', { x: 'a.y' })], outputs: { y: 'a.y' } },
      'nothing takes an output of step "b"',
    ],
    [
      'a circle',
      { steps: [step('a', { x: 'b.y' }), step('b', { x: 'a.y' }), step('c', { x: 'b.y' })], outputs: { y: 'c.y' } },
      'the steps "a", "b" wait for each other in a circle',
    ],
    ['a step of itself', { steps: [step('a', { x: 'a.y' })], outputs: { y: 'a.y' } }, 'the steps "a" wait'],
    [
      'a declared input for nobody',
      {
        inputs: [
          { name: 'i', datatype: 'FP32', shape: [-1] },
          { name: 'j', datatype: 'FP32', shape: [-1] },
        ],
        steps: [step('a', { x: 'i' })],
        outputs: { y: 'a.y' },
      },
      'input "j" is taken by no step',
    ],
    [
      'an input that is not declared',
      {
        inputs: [{ name: 'image', datatype: 'FP32', shape: [-1] }],
        steps: [step('a', { x: 'imag', z: 'image' })],
        outputs: { y: 'a.y' },
      },
      'Did you mean "image"',
    ],
    [
      'a misspelt step as input',
      { steps: [step('embed', { x: 'i' }), step('b', { x: 'embd.y', z: 'embed.y' })], outputs: { y: 'b.y' } },
      '"embed" was probably meant',
    ],
    [
      'a misspelt key',
      { steps: [{ ...step('a', { x: 'i' }), input: {} }], outputs: { y: 'a.y' } },
      '"steps[0].input" is not a key of pipeline.json. Did you mean "inputs"?',
    ],
  ])('refuses %s', (_, value, message) => {
    expect(problems(() => read(value)).join('\n')).toContain(message)
  })
})

describe('a version that is described by JSON', () => {
  it('is pushed like any other, and carries what its file says', async () => {
    const folder = tempFolder()
    const file = join(folder, 'x.remote.json')
    writeFileSync(file, '{"url": "http://h:8000", "model": "m"}')
    const pushed = await pushVersion({ folder: join(folder, 'models'), model: 'far', file })
    const source = createFileSource({ file: join(pushed.folder, 'remote.json'), platform: testPlatform() })
    const [ref] = await source.list()
    const artifact = await source.get(ref!)
    expect(artifact).toMatchObject({ backend: 'remote', digest: pushed.digest, remote: { url: 'http://h:8000' } })
    writeFileSync(file, '{"url": ')
    const refused = pushVersion({ folder: join(folder, 'models'), model: 'far', file })
    await expect(refused).rejects.toMatchObject({ code: 'REGISTRY_MANIFEST_INVALID' })
  })
})
