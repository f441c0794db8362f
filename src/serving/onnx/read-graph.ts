// What a graph says about its own boundary: inputs, outputs, datatypes, shapes, and whether rows may be joined.
// Exporters are careless with output shapes (LightGBM's says one row whatever the input), so the batch axis read here is a
// claim that the first runs confirm: see probe.ts.

import {
  TensorProto_DataLocation as DataLocation,
  type GraphProto,
  type TensorProto,
  type TypeProto,
  type ValueInfoProto,
} from '../../formats/index.js'
import type { DataType } from '../../tensor/index.js'
import { datatypeOf, elementTypeName } from './datatypes.js'
import { fail } from './failure.js'

export interface GraphValue {
  readonly name: string
  readonly datatype: DataType
  /** -1 for a size that is symbolic or not given; undefined when even the number of dimensions is not given. */
  readonly shape: readonly number[] | undefined
  /** The name the session knows it by: another one when a cast was put before it. */
  readonly sessionName: string
}

export interface GraphValues {
  readonly inputs: readonly GraphValue[]
  readonly outputs: readonly GraphValue[]
}

type Side = 'input' | 'output'

/** Throws NOT_A_TENSOR, DATATYPE_UNSUPPORTED, RANK_UNKNOWN. */
export function readGraph(graph: GraphProto): GraphValues {
  // Until IR version 4 every initializer was listed as an input too; such an input only has a default nobody overrides.
  const initialized = new Set(graph.initializer.map(({ name }) => name))
  for (const { values } of graph.sparseInitializer) if (values) initialized.add(values.name)

  const inputs = graph.input.filter(({ name }) => !initialized.has(name)).map((value) => readValue('input', value))
  for (const { name, shape } of inputs) if (!shape) throw fail('RANK_UNKNOWN', { side: 'input', value: name })
  return { inputs, outputs: graph.output.map((value) => readValue('output', value)) }
}

/** Why rows of several requests can certainly not be joined; undefined when they may be. */
export function whyNotBatched({ inputs, outputs }: GraphValues): string | undefined {
  if (inputs.length === 0) return 'it has no inputs'
  for (const { name, shape } of inputs) {
    if (shape?.[0] !== -1) return `the input "${name}" has ${firstAxis(shape)}`
  }
  for (const { name, shape } of outputs) {
    // A first axis of 1 is often a careless export; the first runs tell.
    if (shape && shape[0] !== -1 && shape[0] !== 1) return `the output "${name}" has ${firstAxis(shape)}`
  }
  return undefined
}

/** Names of the side files that hold weights. */
export function externalFiles(graph: GraphProto): string[] {
  const tensors = [...graph.initializer, ...graph.sparseInitializer.map(({ values }) => values)]
  const files = new Set<string>()
  for (const tensor of tensors) {
    if (tensor?.dataLocation === DataLocation.EXTERNAL) files.add(location(tensor))
  }
  return [...files]
}

function location(tensor: TensorProto): string {
  return tensor.externalData.find(({ key }) => key === 'location')?.value ?? ''
}

function firstAxis(shape: readonly number[] | undefined): string {
  return shape?.length ? `a fixed first axis of ${shape[0]}` : 'no axes'
}

function readValue(side: Side, { name, type }: ValueInfoProto): GraphValue {
  const value = type?.value
  if (value?.case !== 'tensorType') throw fail('NOT_A_TENSOR', { side, value: name, type: typeName(type) })
  const datatype = datatypeOf(value.value.elemType)
  if (!datatype) {
    throw fail('DATATYPE_UNSUPPORTED', { side, value: name, type: elementTypeName(value.value.elemType) })
  }
  const shape = value.value.shape?.dim.map(({ value: size }) =>
    size.case === 'dimValue' && size.value >= 0n ? Number(size.value) : -1,
  )
  return { name, datatype, shape, sessionName: name }
}

function typeName(type: TypeProto | undefined): string {
  const value = type?.value
  switch (value?.case) {
    case 'tensorType':
      return 'tensor'
    case 'sequenceType':
      return `sequence of ${typeName(value.value.elemType)}s`
    case 'mapType':
      return 'map'
    case 'optionalType':
      return `optional ${typeName(value.value.elemType)}`
    case 'sparseTensorType':
      return 'sparse tensor'
    case 'opaqueType':
      return `${value.value.domain}.${value.value.name}`
    case undefined:
      return 'value without a type'
  }
}
