// The signature of an ONNX file as its graph states it, for people and for comparing versions. What a server makes of it (labels,
// the batch axis) is known once it is loaded.
import type { TypeProto } from '../formats/index.js'
import { readOnnxBoundary } from './onnx-file.js'
import type { ColumnSpec, RegisteredSignature } from './service.js'

/** By number of TensorProto.DataType. */
const DATATYPES: Readonly<Record<number, string>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
  16: 'BF16',
}

/** undefined when the file cannot be read as ONNX; whoever loads it says why. */
export async function readOnnxSignature(file: string): Promise<RegisteredSignature | undefined> {
  // ONNX's messages take 60 ms to import.
  const [{ fromBinary }, { ValueInfoProtoSchema }] = await Promise.all([
    import('@bufbuild/protobuf'),
    import('../formats/index.js'),
  ])
  const specOf = (bytes: Uint8Array): ColumnSpec => {
    const { name, type } = fromBinary(ValueInfoProtoSchema, bytes)
    return { name, ...typeOf(type) }
  }
  try {
    const { inputs, outputs, initialized } = await readOnnxBoundary(file)
    return { inputs: inputs.map(specOf).filter(({ name }) => !initialized.has(name)), outputs: outputs.map(specOf) }
  } catch {
    return undefined
  }
}

function typeOf(type: TypeProto | undefined): Omit<ColumnSpec, 'name'> {
  const value = type?.value
  if (value?.case !== 'tensorType') {
    // What classifiers of scikit-learn end with; it is served as the matrix inside.
    return { datatype: value?.case === 'sequenceType' ? 'probabilities' : (value?.case ?? 'unknown'), shape: null }
  }
  const { elemType, shape } = value.value
  return {
    datatype: DATATYPES[elemType] ?? `number ${elemType}`,
    shape:
      shape?.dim.map(({ value: size }) => (size.case === 'dimValue' && size.value >= 0n ? Number(size.value) : -1)) ??
      null,
  }
}
