import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { describe, expect, it } from 'vitest'
import * as models from '../../../test/support/onnx-models.js'
import { ModelProtoSchema } from '../../formats/index.js'
import type { OnnxFailure } from './failure.js'
import { prepareModel } from './prepare-model.js'

const { attribute, buildModel, initializer, node, value } = models

const failureOf = (bytes: Uint8Array) => {
  try {
    prepareModel(bytes)
  } catch (error) {
    return (error as OnnxFailure).failure
  }
  return undefined
}

/** `bytes` with fields of ModelProto that our copy of onnx.proto does not know: metadata_props (14) and functions (25). */
function withUnknownFields(bytes: Uint8Array): Uint8Array {
  const writer = new BinaryWriter()
  for (const field of [20, 25]) writer.tag(field, WireType.LengthDelimited).bytes(Uint8Array.of(field, 1, field))
  return new Uint8Array(Buffer.concat([bytes, writer.finish()]))
}

describe('prepareModel', () => {
  it('gives a model that needs nothing back as it came', () => {
    const bytes = models.mlpModel({ inputs: 4, hidden: [8], outputs: 3, seed: 1 })
    const prepared = prepareModel(bytes)
    expect(prepared.bytes).toBe(bytes)
    expect(prepared.labels).toBeUndefined()
    expect(prepared.values).toEqual({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4], sessionName: 'x' }],
      outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 3], sessionName: 'probabilities' }],
    })
  })

  it('keeps what it does not know when it rewrites', () => {
    const original = fromBinary(ModelProtoSchema, withUnknownFields(models.zipMapModel(['a', 'b'])))
    const rewritten = fromBinary(ModelProtoSchema, prepareModel(toBinary(ModelProtoSchema, original)).bytes)
    expect(rewritten.$unknown).toEqual(original.$unknown)
    expect(rewritten.$unknown?.map(({ no }) => no)).toEqual([20, 25])
    expect(rewritten.graph!.node[0]).toEqual(original.graph!.node[0])
  })

  it('does not count initializers as inputs, which old exporters list there', () => {
    const bytes = buildModel({
      inputs: [value('x', 'FP32', ['rows', 2]), value('w', 'FP32', [2, 1])],
      outputs: [value('y', 'FP32', ['rows', 1])],
      nodes: [node('MatMul', ['x', 'w'], ['y'])],
      initializers: [initializer('w', 'FP32', [2, 1], Float32Array.of(1, 2))],
    })
    expect(prepareModel(bytes).values.inputs.map(({ name }) => name)).toEqual(['x'])
  })

  it('reads symbolic, missing and fixed sizes, scalars, and a missing shape of an output', () => {
    const shapes = [['rows', -1, 3, 0], []] as const
    const bytes = buildModel({
      inputs: shapes.map((shape, i) => value(`x${i}`, 'INT64', shape)),
      outputs: [value('y', 'BYTES', undefined)],
      nodes: [],
    })
    const { values, notBatchedBecause } = prepareModel(bytes)
    expect(values.inputs.map(({ shape }) => shape)).toEqual([[-1, -1, 3, 0], []])
    expect(values.outputs[0]!.shape).toBeUndefined()
    expect(notBatchedBecause).toBe('the input "x1" has no axes')
  })

  it('casts BF16 at the boundary under other names and leaves everything inside alone', () => {
    const bytes = models.identityModel('BF16')
    const { values, bytes: rewritten } = prepareModel(bytes)
    expect(values.inputs[0]).toMatchObject({ name: 'x', datatype: 'BF16', sessionName: 'x:input-as-fp32' })
    expect(values.outputs[0]).toMatchObject({ name: 'y', datatype: 'BF16', sessionName: 'y:output-as-fp32' })
    const { graph } = fromBinary(ModelProtoSchema, rewritten)
    expect(graph!.node.map(({ opType, input, output }) => [opType, input[0], output[0]])).toEqual([
      ['Cast', 'x:input-as-fp32', 'x'],
      ['Identity', 'x', 'y'],
      ['Cast', 'y', 'y:output-as-fp32'],
    ])
  })

  it('turns a ZipMap into an Identity, so that another output may show the same matrix', () => {
    const model = fromBinary(ModelProtoSchema, models.zipMapModel([1, 2]))
    model.graph!.output.push(value('scores', 'FP32', [-1, 2]))
    const { bytes, values, labels } = prepareModel(toBinary(ModelProtoSchema, model))
    expect(labels).toEqual(['1', '2'])
    expect(values.outputs.map(({ name }) => name)).toEqual(['output_label', 'output_probability', 'scores'])
    const last = fromBinary(ModelProtoSchema, bytes).graph!.node.at(-1)!
    expect([last.opType, last.domain, last.input, last.output]).toEqual([
      'Identity',
      '',
      ['scores'],
      ['output_probability'],
    ])
  })

  it('leaves a ZipMap alone whose dictionaries are used inside, and refuses the output that is one', () => {
    const model = fromBinary(ModelProtoSchema, models.zipMapModel([1, 2]))
    const { graph } = model
    graph!.node.push(node('Identity', ['output_probability'], ['renamed']))
    graph!.output[1] = models.sequenceOfMaps('renamed')
    expect(failureOf(toBinary(ModelProtoSchema, model))).toEqual({
      key: 'NOT_A_TENSOR',
      params: { side: 'output', value: 'renamed', type: 'sequence of maps' },
    })
  })

  it('names the side files that weights lie in, each once', () => {
    const bytes = buildModel({
      inputs: [value('x', 'FP32', ['rows', 2])],
      outputs: [value('y', 'FP32', ['rows', 1])],
      nodes: [node('MatMul', ['x', 'a'], ['y'])],
      initializers: ['a', 'b', 'c'].map((name, i) => models.externalInitializer(name, [2, 1], i < 2 ? 'one' : 'two')),
    })
    expect(prepareModel(bytes).externalFiles).toEqual(['one', 'two'])
  })

  it('measures tree ensembles', () => {
    const floats = attribute.floats('nodes_values', new Array<number>(1000).fill(0.5))
    const bytes = buildModel({
      inputs: [value('x', 'FP32', ['rows', 2])],
      outputs: [value('y', 'FP32', ['rows', 1])],
      nodes: [node('TreeEnsembleRegressor', ['x'], ['y'], [floats], 'ai.onnx.ml'), node('Abs', ['y'], ['z'], [floats])],
    })
    expect(prepareModel(bytes).treeBytes).toBe(floats.length)
  })

  it('refuses what holds no graph', () => {
    expect(failureOf(new Uint8Array())).toEqual({
      key: 'FILE_CORRUPT',
      params: { reason: 'it is empty', sizeBytes: 0 },
    })
    const empty = toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n }))
    expect(failureOf(empty)).toMatchObject({ key: 'FILE_CORRUPT', params: { reason: 'it holds no graph' } })
  })
})
