// MLmodel, the file at the root of a model that MLflow saved: which libraries can load it, from which file, and its signature.
import { parse } from 'yaml'
import type { ColumnSpec, RegisteredSignature } from './service.js'

export interface MlModel {
  /** By name: `sklearn`, `onnx`, `python_function`, …; `data` is the file or folder it loads. */
  readonly flavors: Readonly<Record<string, { readonly data: string | undefined }>>
  readonly signature: RegisteredSignature | undefined
}

/** undefined for what is no MLmodel. */
export function readMlModel(text: string): MlModel | undefined {
  const document = objectOf(tryTo(() => parse(text, { maxAliasCount: 0 }) as unknown))
  const flavors = objectOf(document?.['flavors'])
  if (flavors === undefined) return undefined
  const entries = Object.entries(flavors).map(([name, flavor]) => {
    const data = objectOf(flavor)?.['data']
    return [name, { data: typeof data === 'string' ? data : undefined }] as const
  })
  const signature = objectOf(document?.['signature'])
  const inputs = columnsOf(signature?.['inputs'])
  const outputs = columnsOf(signature?.['outputs'])
  return {
    flavors: Object.fromEntries(entries),
    signature: inputs.length + outputs.length === 0 ? undefined : { inputs, outputs },
  }
}

/** A schema is JSON in a text: columns `{name, type}` or tensors `{name, tensor-spec: {dtype, shape}}`. */
function columnsOf(schema: unknown): ColumnSpec[] {
  if (typeof schema !== 'string') return []
  const list = tryTo(() => JSON.parse(schema) as unknown)
  if (!Array.isArray(list)) return []
  return list.flatMap((item: unknown, i) => {
    const column = objectOf(item)
    if (column === undefined) return []
    const { name, type, required } = column
    const tensor = objectOf(column['tensor-spec'])
    const shape = tensor?.['shape']
    return [
      {
        name: typeof name === 'string' ? name : `column ${i + 1}`,
        datatype: String(tensor?.['dtype'] ?? (typeof type === 'string' ? type : 'unknown')),
        shape: Array.isArray(shape) ? shape.map(Number) : null,
        ...(required === false ? { isOptional: true } : {}),
      },
    ]
  })
}

/** Names of the columns of a table, when the signature describes one. */
export function columnNames({ inputs }: RegisteredSignature): readonly string[] | undefined {
  const isTable = inputs.length > 0 && inputs.every(({ shape, name }) => shape === null && !/^column \d+$/.test(name))
  return isTable ? inputs.map(({ name }) => name) : undefined
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

function tryTo<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
