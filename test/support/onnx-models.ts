// Small ONNX models for tests and benches, built with the same generated code that serving reads models with.
// Nothing here is exported from Python, so a test can state exactly which graph it needs.
import { create, toBinary } from '@bufbuild/protobuf'
import { seededRandom } from '../../src/core/index.js'
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from '../../src/formats/index.js'
import type { DataType } from '../../src/tensor/index.js'

/** ONNX's number for each datatype (TensorProto.DataType). */
export const ELEMENT_TYPE: Readonly<Record<DataType, number>> = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
  BF16: 16,
}

/** -1 is a dimension without a name, a string one with a name, undefined a value whose rank is unknown. */
export type Shape = readonly (number | string)[] | undefined

export interface ModelParts {
  readonly inputs: readonly ValueInfoProto[]
  readonly outputs: readonly ValueInfoProto[]
  readonly nodes: readonly NodeProto[]
  readonly initializers?: readonly TensorProto[]
  /** Version of the standard operators, default 17; 0 leaves the import out, as XGBoost's exporter does. */
  readonly opset?: number
  /** Version of ai.onnx.ml, default 3. */
  readonly mlOpset?: number
}

export function buildModel(parts: ModelParts): Uint8Array {
  const { opset = 17, mlOpset = 3 } = parts
  const opsetImport = [{ domain: 'ai.onnx.ml', version: BigInt(mlOpset) }]
  if (opset > 0) opsetImport.unshift({ domain: '', version: BigInt(opset) })
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { irVersion: 8n, producerName: 'headrace-tests', opsetImport, graph: graph(parts) }),
  )
}

export function graph(parts: Omit<ModelParts, 'opset' | 'mlOpset'>, name = 'graph'): GraphProto {
  return create(GraphProtoSchema, {
    name,
    node: [...parts.nodes],
    input: [...parts.inputs],
    output: [...parts.outputs],
    initializer: [...(parts.initializers ?? [])],
  })
}

export function value(name: string, datatype: DataType, shape: Shape): ValueInfoProto {
  const dim = shape?.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof size === 'string'
          ? { case: 'dimParam', value: size }
          : size < 0
            ? { case: undefined }
            : { case: 'dimValue', value: BigInt(size) },
    }),
  )
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: { case: 'tensorType', value: { elemType: ELEMENT_TYPE[datatype], ...(dim ? { shape: { dim } } : {}) } },
    }),
  })
}

/** A value of type sequence(map(int64 or string, float)), which is what a ZipMap makes. */
export function sequenceOfMaps(name: string, keyType: 'INT64' | 'BYTES' = 'INT64'): ValueInfoProto {
  const float = create(TypeProtoSchema, { value: { case: 'tensorType', value: { elemType: ELEMENT_TYPE.FP32 } } })
  const map = create(TypeProtoSchema, {
    value: { case: 'mapType', value: { keyType: ELEMENT_TYPE[keyType], valueType: float } },
  })
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'sequenceType', value: { elemType: map } } }),
  })
}

export function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attribute: readonly Uint8Array[] = [],
  domain = '',
): NodeProto {
  return create(NodeProtoSchema, { opType, input: [...input], output: [...output], attribute: [...attribute], domain })
}

export const attribute = {
  int: (name: string, i: number) => encodeAttribute({ name, type: AttributeType.INT, i: BigInt(i) }),
  float: (name: string, f: number) => encodeAttribute({ name, type: AttributeType.FLOAT, f }),
  string: (name: string, s: string) => encodeAttribute({ name, type: AttributeType.STRING, s: Buffer.from(s) }),
  ints: (name: string, ints: readonly number[]) =>
    encodeAttribute({ name, type: AttributeType.INTS, ints: ints.map(BigInt) }),
  floats: (name: string, floats: readonly number[]) =>
    encodeAttribute({ name, type: AttributeType.FLOATS, floats: [...floats] }),
  strings: (name: string, strings: readonly string[]) =>
    encodeAttribute({ name, type: AttributeType.STRINGS, strings: strings.map((text) => Buffer.from(text)) }),
  graph: (name: string, g: GraphProto) => encodeAttribute({ name, type: AttributeType.GRAPH, g }),
}

function encodeAttribute(fields: Parameters<typeof create<typeof AttributeProtoSchema>>[1]): Uint8Array {
  return toBinary(AttributeProtoSchema, create(AttributeProtoSchema, fields))
}

/** An initializer; its data is copied. BYTES takes strings. */
export function initializer(
  name: string,
  datatype: DataType,
  dims: readonly number[],
  data: ArrayBufferView | readonly string[],
): TensorProto {
  const content = ArrayBuffer.isView(data)
    ? { rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice() }
    : { stringData: data.map((text) => Buffer.from(text)) }
  return create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType: ELEMENT_TYPE[datatype], ...content })
}

/** y = x, for any datatype the protocol knows. */
export function identityModel(datatype: DataType, shape: Shape = ['rows', 4]): Uint8Array {
  return buildModel({
    inputs: [value('x', datatype, shape)],
    outputs: [value('y', datatype, shape)],
    nodes: [node('Identity', ['x'], ['y'])],
  })
}

/** What `DOUBLER` of fake-backend.ts says: double = 2x and sum = the sum of each row, for rows of any width. */
export function doublerModel(): Uint8Array {
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', 'width'])],
    outputs: [value('double', 'FP32', ['rows', 'width']), value('sum', 'FP32', ['rows'])],
    nodes: [
      node('Add', ['x', 'x'], ['double']),
      node('ReduceSum', ['x', 'axes'], ['sum'], [attribute.int('keepdims', 0)]),
    ],
    initializers: [initializer('axes', 'INT64', [1], BigInt64Array.of(1n))],
  })
}

/** y = x · weights + bias: [rows, n] to [rows, 1]. */
export function linearModel(weights: readonly number[], bias = 0): Uint8Array {
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', weights.length])],
    outputs: [value('y', 'FP32', ['rows', 1])],
    nodes: [node('Gemm', ['x', 'weights', 'bias'], ['y'])],
    initializers: [
      initializer('weights', 'FP32', [weights.length, 1], Float32Array.from(weights)),
      initializer('bias', 'FP32', [1], Float32Array.of(bias)),
    ],
  })
}

export interface MlpOptions {
  readonly inputs: number
  /** Widths of the hidden layers. */
  readonly hidden: readonly number[]
  readonly outputs: number
  readonly seed: number
}

/** A seeded multilayer perceptron with ReLU and a softmax: x [rows, inputs] to probabilities [rows, outputs]. */
export function mlpModel({ inputs, hidden, outputs, seed }: MlpOptions): Uint8Array {
  const random = seededRandom(seed)
  const widths = [inputs, ...hidden, outputs]
  const nodes: NodeProto[] = []
  const initializers: TensorProto[] = []
  let last = 'x'
  for (let layer = 1; layer < widths.length; layer++) {
    const from = widths[layer - 1]!
    const to = widths[layer]!
    const scale = Math.sqrt(6 / from)
    const weights = Float32Array.from({ length: from * to }, () => (random.next() * 2 - 1) * scale)
    initializers.push(
      initializer(`w${layer}`, 'FP32', [from, to], weights),
      initializer(`b${layer}`, 'FP32', [to], new Float32Array(to)),
    )
    nodes.push(node('Gemm', [last, `w${layer}`, `b${layer}`], [`z${layer}`]))
    last = `z${layer}`
    if (layer === widths.length - 1) nodes.push(node('Softmax', [last], ['probabilities'], [attribute.int('axis', 1)]))
    else {
      nodes.push(node('Relu', [last], [`h${layer}`]))
      last = `h${layer}`
    }
  }
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', inputs])],
    outputs: [value('probabilities', 'FP32', ['rows', outputs])],
    nodes,
    initializers,
  })
}

/**
 * y = x after about `ms` milliseconds whatever the rows: a loop of matrix products of fixed size. Machines differ by
 * several times, so a test must not rely on the number, only on "clearly slow".
 */
export function slowModel(ms: number): Uint8Array {
  const size = 128
  const body = graph(
    {
      inputs: [value('i', 'INT64', []), value('more', 'BOOL', []), value('state', 'FP32', [size, size])],
      outputs: [value('goOn', 'BOOL', []), value('next', 'FP32', [size, size])],
      nodes: [
        node('Identity', ['more'], ['goOn']),
        node('MatMul', ['state', 'matrix'], ['product']),
        node('Tanh', ['product'], ['next']),
      ],
    },
    'body',
  )
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', 4])],
    outputs: [value('y', 'FP32', ['rows', 4])],
    nodes: [
      node('Loop', ['trips', 'always', 'matrix'], ['final'], [attribute.graph('body', body)]),
      // The loop's result is multiplied by zero: it must be computed and changes nothing.
      node('ReduceMax', ['final'], ['largest'], [attribute.int('keepdims', 0)]),
      node('Mul', ['largest', 'zero'], ['nothing']),
      node('Add', ['x', 'nothing'], ['y']),
    ],
    initializers: [
      initializer('trips', 'INT64', [], BigInt64Array.of(BigInt(Math.max(1, Math.round(ms * SLOW_TRIPS_PER_MS))))),
      initializer('always', 'BOOL', [], Uint8Array.of(1)),
      initializer('matrix', 'FP32', [size, size], new Float32Array(size * size).fill(0.01)),
      initializer('zero', 'FP32', [], Float32Array.of(0)),
    ],
  })
}

// Trips of the loop above per millisecond: measured on a 2.5 GHz Xeon core, one thread (2026-11-22).
const SLOW_TRIPS_PER_MS = 28

/** A classifier as scikit-learn exports it by default: label [rows], and probabilities as one map per row (a ZipMap). */
export function zipMapModel(labels: readonly string[] | readonly number[], opset = 17): Uint8Array {
  const named = typeof labels[0] === 'string'
  const labelAttribute = (name: string) =>
    named
      ? attribute.strings('classlabels_strings', labels as readonly string[])
      : attribute.ints(name, labels as readonly number[])
  const classes = labels.length
  return buildModel({
    opset,
    inputs: [value('x', 'FP32', [-1, classes])],
    outputs: [
      value('output_label', named ? 'BYTES' : 'INT64', [-1]),
      sequenceOfMaps('output_probability', named ? 'BYTES' : 'INT64'),
    ],
    nodes: [
      node(
        'LinearClassifier',
        ['x'],
        ['output_label', 'scores'],
        [
          attribute.floats(
            'coefficients',
            Array.from({ length: classes * classes }, (_, i) => (i % (classes + 1) === 0 ? 1 : 0)),
          ),
          attribute.floats('intercepts', new Array<number>(classes).fill(0)),
          attribute.string('post_transform', 'SOFTMAX'),
          labelAttribute('classlabels_ints'),
        ],
        'ai.onnx.ml',
      ),
      node('ZipMap', ['scores'], ['output_probability'], [labelAttribute('classlabels_int64s')], 'ai.onnx.ml'),
    ],
  })
}

/** Triton's "simple": OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1, all INT32 [rows, 16]. */
export function twoInputsModel(): Uint8Array {
  const of = (name: string) => value(name, 'INT32', ['rows', 16])
  return buildModel({
    inputs: [of('INPUT0'), of('INPUT1')],
    outputs: [of('OUTPUT0'), of('OUTPUT1')],
    nodes: [node('Add', ['INPUT0', 'INPUT1'], ['OUTPUT0']), node('Sub', ['INPUT0', 'INPUT1'], ['OUTPUT1'])],
  })
}

/** y = [10, 20, 30][index], index INT64 [rows, 1]: an index outside 0..2 fails the whole run, so one row can be guilty. */
export function failingModel(): Uint8Array {
  return buildModel({
    inputs: [value('index', 'INT64', ['rows', 1])],
    outputs: [value('y', 'FP32', ['rows', 1])],
    nodes: [node('Gather', ['table', 'index'], ['y'])],
    initializers: [initializer('table', 'FP32', [3], Float32Array.of(10, 20, 30))],
  })
}

/** y = 2x with the first dimension fixed: its runs cannot be joined. */
export function constantBatchModel(rows = 1): Uint8Array {
  return buildModel({
    inputs: [value('x', 'FP32', [rows, 4])],
    outputs: [value('y', 'FP32', [rows, 4])],
    nodes: [node('Add', ['x', 'x'], ['y'])],
  })
}

/** Its rows depend on each other (a softmax over the batch), although its shapes say they could be joined. */
export function rowMixingModel(): Uint8Array {
  return buildModel({
    inputs: [value('x', 'FP32', ['rows', 4])],
    outputs: [value('y', 'FP32', ['rows', 4])],
    nodes: [node('Softmax', ['x'], ['y'], [attribute.int('axis', 0)])],
  })
}

/** An initializer whose content lies in `location`, a file beside the model. */
export function externalInitializer(name: string, dims: readonly number[], location: string): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: ELEMENT_TYPE.FP32,
    dataLocation: DataLocation.EXTERNAL,
    externalData: [{ key: 'location', value: location }],
  })
}
