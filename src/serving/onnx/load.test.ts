import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { tensors } from '../../../test/support/fake-backend.js'
import { type OnnxArtifactParts, onnxArtifact } from '../../../test/support/onnx-artifact.js'
import * as models from '../../../test/support/onnx-models.js'
import { type HeadraceError, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import { createOnnxBackends } from './create-onnx-backends.js'

const platform = testPlatform()
const onnx = createOnnxBackends({ threads: 2 })
afterAll(() => onnx.close())

const load = (bytes: Uint8Array, parts?: OnnxArtifactParts) => onnx.load(onnxArtifact(bytes, parts), { platform })
const context = { deadline: Deadline.none(systemClock), outputs: undefined }

async function refusal(artifact: VersionArtifact): Promise<HeadraceError> {
  try {
    await onnx.load(artifact, { platform })
  } catch (error) {
    return error as HeadraceError
  }
  throw new Error('it was loaded')
}

const { attribute, buildModel, initializer, node, value } = models
const x = value('x', 'FP32', ['rows', 4])
const y = value('y', 'FP32', ['rows', 4])

describe('a version that cannot be served is refused', () => {
  it.each([
    ['an empty file', new Uint8Array(), 'ONNX_FILE_CORRUPT', 'it is empty'],
    [
      'a file of something else',
      Buffer.from('PK\x03\x04 not a model'),
      'ONNX_FILE_CORRUPT',
      'is not a complete ONNX model',
    ],
    ['a graph cut off in the middle', models.linearModel([1, 2, 3]).slice(0, -40), 'ONNX_FILE_CORRUPT', '(140 bytes)'],
    [
      'an operator that does not exist',
      buildModel({ inputs: [x], outputs: [y], nodes: [node('Nonsense', ['x'], ['y'])] }),
      'ONNX_MODEL_REFUSED',
      'No Op registered for Nonsense',
    ],
    [
      'operators that do not fit together',
      buildModel({ inputs: [x], outputs: [y], nodes: [node('Add', ['x', 'absent'], ['y'])] }),
      'ONNX_MODEL_REFUSED',
      'absent',
    ],
    [
      'no outputs',
      buildModel({ inputs: [x], outputs: [], nodes: [] }),
      'ONNX_FILE_CORRUPT',
      'its graph has no outputs',
    ],
    [
      'an output that is no tensor',
      buildModel({
        inputs: [x],
        outputs: [models.sequenceOfMaps('scores')],
        nodes: [node('Identity', ['x'], ['scores'])],
      }),
      'ONNX_NOT_A_TENSOR',
      'The output "scores" of fraud/1 is a sequence of maps',
    ],
    [
      'an input without a rank',
      buildModel({ inputs: [value('x', 'FP32', undefined)], outputs: [y], nodes: [node('Identity', ['x'], ['y'])] }),
      'ONNX_RANK_UNKNOWN',
      'its input "x"',
    ],
  ])('%s', async (_, bytes, code, part) => {
    const error = await refusal(onnxArtifact(bytes))
    expect(error).toMatchObject({ code, status: 422, retry: false })
    expect(error.message).toContain(part)
    expect(error.message).toContain('fraud/1')
  })

  it('a datatype that the protocol does not have', async () => {
    const complex = value('x', 'FP32', ['rows', 4])
    const type = complex.type!.value
    if (type.case === 'tensorType') type.value.elemType = 14
    const bytes = buildModel({ inputs: [complex], outputs: [y], nodes: [node('Identity', ['x'], ['y'])] })
    const error = await refusal(onnxArtifact(bytes))
    expect(error).toMatchObject({ code: 'ONNX_DATATYPE_UNSUPPORTED', status: 422 })
    expect(error.message).toContain('complex64')
  })

  it('a file that is not the one that was published', async () => {
    const artifact = onnxArtifact(models.linearModel([1, 2]))
    writeFileSync(artifact.file, models.linearModel([1, 3]))
    const error = await refusal(artifact)
    expect(error).toMatchObject({ code: 'ONNX_DIGEST_MISMATCH', status: 422, retry: false })
    expect(error.message).toContain(artifact.digest)
  })

  it('a file that is half written', async () => {
    const artifact = onnxArtifact(models.mlpModel({ inputs: 8, hidden: [64], outputs: 2, seed: 1 }))
    truncateSync(artifact.file, artifact.sizeBytes / 2)
    expect(await refusal(artifact)).toMatchObject({ code: 'ONNX_DIGEST_MISMATCH', status: 422 })
  })

  it('a file that is not there, which may be tried again', async () => {
    const artifact = onnxArtifact(models.linearModel([1]))
    rmSync(artifact.file)
    const error = await refusal(artifact)
    expect(error).toMatchObject({ code: 'ONNX_FILE_UNREADABLE', status: 500, retry: true })
    expect(error.message).toContain('ENOENT')
  })

  describe('with its digest right, and the process survives', () => {
    const outcomes = async (files: Uint8Array[]) => {
      const codes = new Set<string>()
      for (const bytes of files) {
        const loading = load(bytes).then((backend) => backend.close())
        codes.add(
          await loading.then(
            () => 'loaded',
            ({ code }: HeadraceError) => code,
          ),
        )
      }
      return [...codes].sort()
    }

    it('cut off anywhere', async () => {
      const whole = models.zipMapModel(['a', 'b'])
      const cut = Array.from({ length: whole.length / 7 }, (_, i) => whole.slice(0, i * 7))
      // A cut behind the graph takes only the list of operator sets, which the runtime does without.
      expect(await outcomes(cut)).toEqual(['ONNX_FILE_CORRUPT', 'loaded'])
    })

    it('with a byte changed anywhere', async () => {
      const whole = models.linearModel([1, 2, 3])
      const changed = Array.from({ length: whole.length / 3 }, (_, i) => {
        const bytes = whole.slice()
        bytes[i * 3]! ^= 0xff
        return bytes
      })
      for (const code of await outcomes(changed)) {
        expect(code).toMatch(/^(loaded|ONNX_(FILE|MODEL|NOT_A|DATATYPE|RANK|EXTERNAL))/)
      }
    })
  })
})

describe('weights in a side file', () => {
  const model = (location: string, inputs = x) =>
    buildModel({
      inputs: [inputs],
      outputs: [value('y', 'FP32', ['rows', 1])],
      nodes: [node('MatMul', ['x', 'weights'], ['y'])],
      initializers: [models.externalInitializer('weights', [4, 1], location)],
    })

  it('are read from the folder of the model, inline and in a thread', async () => {
    for (const isolation of ['inline', 'thread'] as const) {
      const artifact = onnxArtifact(model('data/weights.bin'), { manifest: { isolation } })
      mkdirSync(join(dirname(artifact.file), 'data'))
      writeFileSync(join(dirname(artifact.file), 'data/weights.bin'), Float32Array.of(1, 10, 100, 1000))
      const backend = await onnx.load(artifact, { platform })
      const data = Float32Array.of(1, 2, 3, 4)
      const outputs = await backend.run(tensors({ name: 'x', datatype: 'FP32', shape: [1, 4], data }), context)
      expect([...outputs.get('y')!.data]).toEqual([4321])
    }
  })

  it('are missed by name when they are not there', async () => {
    const error = await refusal(onnxArtifact(model('weights.bin')))
    expect(error).toMatchObject({ code: 'ONNX_EXTERNAL_DATA_INVALID', status: 422 })
    expect(error.message).toContain('"weights.bin"')
  })

  it.each(['../weights.bin', '/etc/hostname', '', 'a/../../b', '..'])(
    'may not lie elsewhere: "%s"',
    async (location) => {
      const error = await refusal(onnxArtifact(model(location)))
      expect(error).toMatchObject({ code: 'ONNX_EXTERNAL_DATA_INVALID', status: 422 })
    },
  )
})

describe('a ZipMap at the end', () => {
  it.each([
    ['numbers', [3, 5, 7], ['3', '5', '7']],
    ['names', ['setosa', 'versicolor', 'virginica'], ['setosa', 'versicolor', 'virginica']],
  ])('gives way to the matrix it was made from; its labels are %s', async (_, classes, labels) => {
    for (const opset of [17, 0]) {
      const backend = await load(models.zipMapModel(classes as string[], opset))
      expect(backend.labels).toEqual(labels)
      expect(backend.signature).toEqual({
        inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
        outputs: [
          { name: 'output_label', datatype: typeof classes[0] === 'string' ? 'BYTES' : 'INT64', shape: [-1] },
          { name: 'output_probability', datatype: 'FP32', shape: [-1, 3] },
        ],
        batchAxis: 0,
      })
      const data = Float32Array.of(0, 0, Math.log(2), Math.log(6), 0, 0)
      const outputs = await backend.run(tensors({ name: 'x', datatype: 'FP32', shape: [2, 3], data }), context)
      const probabilities = [...outputs.get('output_probability')!.data].map((p) => Math.round(Number(p) * 1000))
      expect(probabilities).toEqual([250, 250, 500, 750, 125, 125])
    }
  })
})

describe('bfloat16', () => {
  it('serves when an input goes straight out beside what is computed from it inside a subgraph', async () => {
    const bf16 = (name: string) => value(name, 'BF16', ['rows'])
    const branch = (name: string) =>
      models.graph({ inputs: [], outputs: [bf16(name)], nodes: [node('Identity', ['x'], [name])] }, name)
    const backend = await load(
      buildModel({
        inputs: [bf16('x')],
        outputs: [bf16('x'), bf16('y')],
        nodes: [
          node(
            'If',
            ['yes'],
            ['y'],
            [attribute.graph('then_branch', branch('a')), attribute.graph('else_branch', branch('b'))],
          ),
        ],
        initializers: [initializer('yes', 'BOOL', [1], Uint8Array.of(1))],
      }),
    )
    expect(backend.signature.outputs.map(({ name, datatype }) => [name, datatype])).toEqual([
      ['x', 'BF16'],
      ['y', 'BF16'],
    ])
    const data = Uint16Array.of(0x3f80, 0xc2f7)
    const outputs = await backend.run(tensors({ name: 'x', datatype: 'BF16', shape: [2], data }), context)
    expect(outputs.get('y')!.data).toEqual(data)
    expect(outputs.get('x')!.data).toEqual(data)
  })
})

describe('the batch axis', () => {
  const reasons = async (bytes: Uint8Array, parts?: OnnxArtifactParts) => {
    const { signature, notBatchedBecause } = await load(bytes, parts)
    expect(signature.batchAxis === 0).toBe(notBatchedBecause === undefined)
    return notBatchedBecause
  }

  it('is 0 when the first axis of everything is open and the first runs agree', async () => {
    expect(await reasons(models.twoInputsModel())).toBeUndefined()
    expect(await reasons(models.identityModel('FP32', [-1, 'height', 'width']))).toBeUndefined()
  })

  it('is none when an input has a fixed first axis', async () => {
    expect(await reasons(models.constantBatchModel(3))).toBe('the input "x" has a fixed first axis of 3')
  })

  it('is none without inputs', async () => {
    const model = buildModel({
      inputs: [],
      outputs: [value('y', 'FP32', [1])],
      nodes: [node('Identity', ['one'], ['y'])],
      initializers: [initializer('one', 'FP32', [1], Float32Array.of(1))],
    })
    expect(await reasons(model)).toBe('it has no inputs')
  })

  it('is none when an output is one thing for the whole batch, whatever its shape claims', async () => {
    const mean = (shape: models.Shape) =>
      buildModel({
        inputs: [x],
        outputs: [value('y', 'FP32', shape)],
        nodes: [node('ReduceMean', ['x'], ['y'], [attribute.int('keepdims', shape?.length ? 1 : 0)])],
      })
    expect(await reasons(mean([1, 1]))).toBe('the output "y" had the shape [1,1] for 64 rows')
    expect(await reasons(mean([]))).toBe('the output "y" has no axes')
  })

  it('is none when an output has as many rows as its values say', async () => {
    const model = buildModel({
      inputs: [x],
      outputs: [value('y', 'INT64', ['found', 2])],
      nodes: [
        node('NonZero', ['x'], ['indices']),
        node('Transpose', ['indices'], ['y'], [attribute.ints('perm', [1, 0])]),
      ],
    })
    expect(await reasons(model)).toBe('the output "y" had the shape [0,2] for 1 rows')
  })

  it('is none when rows change each other', async () => {
    expect(await reasons(models.rowMixingModel())).toBe('the output "y" of a row changes with the rows beside it')
  })

  it('is 0 for an export that says one row where it gives as many as went in, and the signature says so', async () => {
    const model = buildModel({
      inputs: [x],
      outputs: [value('y', 'FP32', [1, 4])],
      nodes: [node('Abs', ['x'], ['y'])],
    })
    const { signature } = await load(model)
    expect(signature).toMatchObject({ batchAxis: 0, outputs: [{ name: 'y', shape: [-1, 4] }] })
  })

  it('is 0 for an output without any shape, which the runs fill in', async () => {
    const model = buildModel({
      inputs: [x],
      outputs: [value('y', 'FP32', undefined)],
      nodes: [node('Abs', ['x'], ['y'])],
    })
    const { signature } = await load(model)
    expect(signature).toMatchObject({ batchAxis: 0, outputs: [{ name: 'y', shape: [-1, -1] }] })
  })

  it('is found by zeros where ones are out of range, and by the manifest’s rows where zeros are', async () => {
    const gather = (table: number, offset: number) =>
      buildModel({
        inputs: [value('index', 'INT64', ['rows', 1])],
        outputs: [value('y', 'FP32', ['rows', 1])],
        nodes: [node('Sub', ['index', 'offset'], ['at']), node('Gather', ['table', 'at'], ['y'])],
        initializers: [
          initializer('table', 'FP32', [table], new Float32Array(table)),
          initializer('offset', 'INT64', [1], BigInt64Array.of(BigInt(offset))),
        ],
      })
    expect(await reasons(gather(1, 0))).toBeUndefined()
    expect(await reasons(gather(2, 100))).toBe(
      'every test run failed, so joining rows is unproven; add "warmup" rows to model.json',
    )
    const warmup = [{ inputs: { index: 100 } }]
    expect(await reasons(gather(2, 100), { manifest: { warmup } })).toBeUndefined()
  })

  it('is seen even when batching is switched off', async () => {
    expect(await reasons(models.linearModel([1]), { manifest: { batching: { enabled: false } } })).toBeUndefined()
  })
})
