// remote.json: which model of which server answers for a version. An unknown key is an error, as in model.json.
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { z } from 'zod'
import type { RemoteModel } from '../tensor/index.js'
import { objectOf, readJsonFile, text, WHOLE, wholeNumber } from './json-file.js'
import { TENSOR_SPEC_KEYS, tensorSpecs } from './tensor-spec.js'

const MiB = 1024 * 1024
const SCHEMES = ['http:', 'https:', 'grpc:', 'grpcs:']

/** What the protocol or the connection itself decides. */
const OWN_HEADERS = [
  'host',
  'connection',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'te',
  'upgrade',
  'accept-encoding',
  'inference-header-content-length',
]

const url = z
  .string({ error: 'an address such as "http://triton:8000" or "grpc://triton:8001" is needed' })
  .superRefine((value, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message })
    if (!URL.canParse(value) || !SCHEMES.includes(new URL(value).protocol))
      return refuse('an address that begins with http://, https://, grpc:// or grpcs:// is needed')
    const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(value)
    if (hostname === '') refuse('the name of a host is needed')
    if (username !== '' || password !== '')
      refuse('an address without a user and password is needed; send them in "headers", from environment variables')
    if (search !== '' || hash !== '') refuse('an address without "?" and "#" is needed')
    if (protocol.startsWith('grpc') && !['', '/'].includes(pathname)) refuse('gRPC has no paths; leave it out')
    if (protocol.startsWith('grpc') && port === '') refuse('a port is needed, such as grpc://triton:8001')
  })
  .transform((value) => value.replace(/\/+$/, ''))

const headers = z
  .record(z.string(), z.string({ error: 'text is needed' }), objectOf('an object of texts by header name'))
  .superRefine((record, context) => {
    for (const [name, value] of Object.entries(record)) {
      // Its value may be a secret, so it is not shown.
      const refuse = (problem: string) =>
        context.addIssue({ code: 'custom', message: `header "${name}": ${problem}`, params: WHOLE })
      if (OWN_HEADERS.includes(name.toLowerCase())) refuse('that header is set by itself; leave it out')
      else if (!isValid(() => validateHeaderName(name))) refuse('its name cannot be that of a header')
      else if (!isValid(() => validateHeaderValue(name, value))) refuse('a header cannot have such a value')
      for (const [, variable] of value.matchAll(/\$\{([^}]*)\}/g))
        if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable!))
          refuse(`"\${${variable}}" does not name an environment variable`)
    }
  })

const signature = z.strictObject(
  { inputs: tensorSpecs, outputs: tensorSpecs },
  objectOf('an object with "inputs" and "outputs"'),
)

const remoteKeys = z.strictObject(
  {
    url,
    model: text('the name that the model has there'),
    version: z
      .union([text('a version').max(128), z.int().min(0).transform(String)], {
        error: 'a version is needed, such as "3"',
      })
      .optional(),
    headers: headers.default({}),
    timeoutMs: wholeNumber(1, 'milliseconds').optional(),
    maxInFlight: wholeNumber(1, 'requests').max(1024, { error: 'at most 1024 requests are possible' }).default(64),
    maxBatchSize: wholeNumber(1, 'rows').optional(),
    maxReplyBytes: wholeNumber(1024, 'bytes').default(64 * MiB),
    probeMs: wholeNumber(100, 'milliseconds').default(5000),
    binary: z.boolean({ error: 'true or false is needed' }).optional(),
    batchAxis: z
      .union([z.literal(0), z.null()], { error: '0 (the first axis of each tensor counts rows) or null is needed' })
      .optional(),
    signature: signature.optional(),
  },
  objectOf('an object such as {"url": "http://triton:8000", "model": "resnet"}'),
)

/**
 * Reads the text of a remote.json; `source` names it in messages. Throws REGISTRY_MANIFEST_INVALID with every problem at once.
 *
 * @example readRemoteFile('{"url": "grpc://triton:8001", "model": "resnet"}', 'models/resnet/1/remote.json').maxInFlight // 64
 */
export function readRemoteFile(text: string, source: string): RemoteModel {
  const data = readJsonFile(text, source, 'remote.json', remoteKeys, knownKeys)
  return {
    url: data.url,
    model: data.model,
    version: data.version,
    headers: data.headers,
    timeoutMs: data.timeoutMs,
    maxInFlight: data.maxInFlight,
    maxBatchSize: data.maxBatchSize,
    maxReplyBytes: data.maxReplyBytes,
    probeMs: data.probeMs,
    binary: data.binary,
    batchAxis: data.batchAxis,
    signature: data.signature,
  }
}

function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  if (path[0] !== 'signature') return Object.keys(remoteKeys.shape)
  return path.length === 1 ? Object.keys(signature.shape) : TENSOR_SPEC_KEYS
}

function isValid(check: () => void): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}
