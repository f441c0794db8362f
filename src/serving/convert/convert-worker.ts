// Converts the file of its argument, answers its parent and ends.
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import process from 'node:process'
import { HeadraceError, type SerializedError } from '../../core/index.js'
import {
  type ConvertedModel,
  FormatFailure,
  type FormatFailures,
  readTrees,
  type TreeEnsemble,
  writeOnnx,
} from '../../formats/index.js'
import { OnnxFailure } from '../onnx/failure.js'
import { OnnxSession, type SessionValue } from '../onnx/session.js'
import { checkParity, type ParityRun } from './check-parity.js'
import { ConvertErrors } from './errors.js'

/** One of the two. */
export interface ConvertReply {
  readonly converted?: ConvertedModel
  readonly error?: SerializedError
}

/** Text becomes a string of JavaScript, which cannot be longer than 512 MiB, and then several times that in objects. */
const MAX_BYTES = 256 * 1024 * 1024

const FEATURES: SessionValue = { sessionName: 'features', datatype: 'FP32' }
const LABEL: SessionValue = { sessionName: 'label', datatype: 'INT64' }

async function convert(file: string): Promise<ConvertedModel> {
  const { size } = await stat(file)
  if (size > MAX_BYTES) throw new FormatFailure('TOO_LARGE', { what: 'bytes', limit: MAX_BYTES, actual: size })
  const original = await readFile(file)
  const ensemble = readTrees(original)
  const digest = `sha256:${createHash('sha256').update(original).digest('hex')}`
  const { rules, libraryVersion, objective } = ensemble
  const bytes = writeOnnx(ensemble, {
    metadata: {
      'headrace.converted.format': rules,
      'headrace.converted.library_version': libraryVersion,
      'headrace.converted.objective': objective,
      'headrace.converted.digest': digest,
    },
  })
  const { difference, rows } = await compare(ensemble, bytes)
  if (difference) throw ConvertErrors.DIFFERS({ file, ...difference })
  const convertedFrom = { format: rules, libraryVersion, objective, digest, rowsCompared: rows }
  return { bytes, manifest: { ...manifestOf(ensemble), convertedFrom }, notices: ensemble.notices }
}

async function compare(ensemble: TreeEnsemble, bytes: Uint8Array): Promise<ReturnType<typeof checkParity>> {
  const names = outputsOf(ensemble)
  const outputs = names.map(
    (name): SessionValue => (name === 'label' ? LABEL : { sessionName: name, datatype: 'FP32' }),
  )
  const session = await OnnxSession.create({ bytes, folder: '', inputs: [FEATURES], outputs })
  const run: ParityRun = (data, rows) => {
    const tensors = session.run([{ shape: [rows, ensemble.featureCount], data }])
    const of = (name: string) => tensors[names.indexOf(name)]?.data
    return {
      numbers: (of('value') ?? of('probabilities')) as Float32Array | undefined,
      labels: of('label') as BigInt64Array | undefined,
    }
  }
  try {
    return checkParity(ensemble, run)
  } finally {
    await session.release()
  }
}

function outputsOf({ task }: TreeEnsemble): string[] {
  switch (task) {
    case 'value':
      return ['value']
    case 'sign':
      return ['label']
    case 'binary':
    case 'classes':
      return ['label', 'probabilities']
  }
}

function manifestOf(ensemble: TreeEnsemble): Record<string, unknown> {
  const { featureNames, task, base } = ensemble
  const classes = task === 'classes' ? base.length : task === 'binary' ? 2 : 0
  const meanings = outputsOf(ensemble).map((name) => [name, name])
  return {
    ...(featureNames && { features: featureNames }),
    ...(classes > 0 && { labels: Array.from({ length: classes }, (_, i) => String(i)) }),
    outputs: Object.fromEntries(meanings),
  }
}

function asError(error: unknown, file: string): SerializedError {
  if (error instanceof FormatFailure) {
    const make = ConvertErrors[error.key as keyof FormatFailures] as (params: object) => HeadraceError
    return make({ file, ...error.params }).toJSON()
  }
  if (error instanceof HeadraceError) return error.toJSON()
  const reason = error instanceof OnnxFailure || error instanceof Error ? error.message : String(error)
  return ConvertErrors.FAILED({ file, reason }).toJSON()
}

const file = process.argv[2]!
// Nobody waits for the answer any more.
process.once('disconnect', () => process.exit())
let reply: ConvertReply
try {
  reply = { converted: await convert(file) }
} catch (error) {
  reply = { error: asError(error, file) }
}
process.send!(reply, () => process.disconnect())
