// An infer request that is not only JSON. The event loop parses its JSON, which is small, and takes the tensors where they stand.
import { copyData, type Signature } from '../../tensor/index.js'
import type { ServerContext } from '../context.js'
import { type InferRequest, OipErrors, parseInferRequest, readBinaryInputs, readRawRequest } from '../oip/index.js'
import { PARSE_INLINE_MAX_BYTES } from '../parse-pool.js'

/** Rejects with OIP_HEADER_LENGTH and with what parsing and the tensors throw. */
export async function parseBinaryRequest(
  { parsePool }: ServerContext,
  body: Uint8Array,
  jsonBytes: number,
  signature: Signature,
): Promise<InferRequest> {
  if (jsonBytes > body.length) throw OipErrors.HEADER_LENGTH({ arrived: String(jsonBytes), bodyBytes: body.length })
  if (jsonBytes === 0) return readRawRequest(body, signature)
  // Not as a Buffer, a copy of which is a view.
  const json = new Uint8Array(body.buffer, body.byteOffset, jsonBytes)
  const request =
    // The pool takes its body over, and this one has tensors behind it.
    jsonBytes > PARSE_INLINE_MAX_BYTES
      ? await parsePool.parse('oip', await copyData(json), undefined)
      : parseInferRequest(json)
  return readBinaryInputs(request, body.subarray(jsonBytes))
}
