// RepositoryModelLoadRequest, which may carry files: a hand-written decoder, because the generated one takes seconds for a message of
// nothing but tiny fields. Files are views of the message.
import type { ModelRepositoryParameter } from '../../oip/index.js'
import { DELIMITED, VARINT, WireReader } from './wire-reader.js'

export interface LoadRequest {
  repositoryName: string
  modelName: string
  readonly parameters: Map<string, ModelRepositoryParameter>
}

/** A file has six. */
const MAX_FIELDS = 16 * 1024

const field = (number: number, type: number): number => (number << 3) | type

/** Throws GRPC_MESSAGE_INVALID. */
export function decodeLoadRequest(bytes: Buffer): LoadRequest {
  const reader = new WireReader(bytes, MAX_FIELDS)
  const request: LoadRequest = { repositoryName: '', modelName: '', parameters: new Map() }
  while (reader.hasMore) {
    const tag = reader.tag()
    if (tag === field(1, DELIMITED)) request.repositoryName = reader.string()
    else if (tag === field(2, DELIMITED)) request.modelName = reader.string()
    else if (tag === field(3, DELIMITED)) readEntry(reader, request.parameters)
    else reader.skip(tag)
  }
  return request
}

function readEntry(reader: WireReader, parameters: Map<string, ModelRepositoryParameter>): void {
  let key = ''
  let value: ModelRepositoryParameter = { parameterChoice: undefined }
  const outer = reader.enter()
  while (reader.hasMore) {
    const tag = reader.tag()
    if (tag === field(1, DELIMITED)) key = reader.string()
    else if (tag === field(2, DELIMITED)) value = readParameter(reader)
    else reader.skip(tag)
  }
  reader.leave(outer)
  parameters.set(key, value)
}

function readParameter(reader: WireReader): ModelRepositoryParameter {
  const parameter: ModelRepositoryParameter = { parameterChoice: undefined }
  const outer = reader.enter()
  while (reader.hasMore) {
    const tag = reader.tag()
    switch (tag) {
      case field(1, VARINT):
        parameter.parameterChoice = { $case: 'boolParam', value: reader.uint64() !== 0 }
        break
      case field(2, VARINT):
        parameter.parameterChoice = { $case: 'int64Param', value: reader.bigint(true) }
        break
      case field(3, DELIMITED):
        parameter.parameterChoice = { $case: 'stringParam', value: reader.string() }
        break
      case field(4, DELIMITED):
        parameter.parameterChoice = { $case: 'bytesParam', value: reader.delimited() }
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
  return parameter
}
