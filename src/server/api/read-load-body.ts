// `{"parameters": {"config": "…", "file:1/model.onnx": "<base64>"}}`, as Triton's clients write it.
import { RepositoryErrors } from '../../app/index.js'
import { HttpErrors } from '../errors.js'

export interface LoadBody {
  /** JSON; a client may send the object itself. */
  readonly config: string | undefined
  /** Contents by `<version>/<path>`. */
  readonly files: ReadonlyMap<string, Uint8Array>
}

const FILE = 'file:'

/** Throws HTTP_JSON_INVALID, HTTP_BODY_INVALID, REPOSITORY_FILE_INVALID. */
export function readLoadBody(bytes: Uint8Array, model: string): LoadBody {
  const files = new Map<string, Uint8Array>()
  let config: string | undefined
  for (const [name, value] of Object.entries(parametersOf(bytes))) {
    if (name === 'config') config = configText(value)
    else if (name.startsWith(FILE)) files.set(name.slice(FILE.length), fileOf(name.slice(FILE.length), value, model))
    else throw invalid(`"parameters.${name.slice(0, 100)}"`, '"config" or a "file:<version>/<path>"', name)
  }
  return { config, files }
}

function parametersOf(bytes: Uint8Array): object {
  if (bytes.length === 0) return {}
  const body = parse(bytes)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw invalid('the body', 'an object', body)
  const { parameters = {} } = body as { readonly parameters?: unknown }
  if (typeof parameters === 'object' && parameters !== null && !Array.isArray(parameters)) return parameters
  throw invalid('"parameters"', 'an object', parameters)
}

function parse(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw HttpErrors.JSON_INVALID({ problem: 'its bytes are not UTF-8' }, error)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw HttpErrors.JSON_INVALID({ problem: (error as Error).message.slice(0, 200) }, error)
  }
}

function configText(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'object' && value !== null) return JSON.stringify(value)
  throw invalid('"parameters.config"', 'text or an object', value)
}

function fileOf(name: string, value: unknown, model: string): Uint8Array {
  const file = name.slice(0, 200)
  if (typeof value !== 'string') throw RepositoryErrors.FILE_INVALID({ model, file, problem: 'it is no text' })
  const padding = value.endsWith('==') ? 2 : value.endsWith('=') ? 1 : 0
  const content = Buffer.from(value, 'base64')
  // What is not base64 is skipped when it is decoded.
  if (value.length % 4 !== 0 || content.length !== (value.length / 4) * 3 - padding)
    throw RepositoryErrors.FILE_INVALID({ model, file, problem: 'it is not base64' })
  // Small ones lie in a pool that others use.
  return content.byteLength === content.buffer.byteLength ? content : new Uint8Array(content)
}

function invalid(where: string, expected: string, value: unknown) {
  const text = JSON.stringify(value) ?? 'nothing'
  return HttpErrors.BODY_INVALID({ where, expected, arrived: text.length <= 80 ? text : `${text.slice(0, 77)}...` })
}
