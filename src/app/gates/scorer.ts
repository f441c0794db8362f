// Asks a version about rows of a data set, through its own leaf, at low priority and a batch at a time: requests of callers go first.
import { type HeadraceError, toHeadraceError } from '../../core/index.js'
import type { RowValue } from '../../features/index.js'
import { Deadline } from '../../flow/index.js'
import { type DatasetSettings, GateErrors } from '../../release/index.js'
import type { ServedVersion } from '../../serving/index.js'
import {
  type FeatureSpec,
  type FeatureValue,
  type NamedOutputs,
  type NamedValue,
  type RowSchema,
  rowsToTensors,
  tensorsToNamedOutputs,
} from '../../tensor/index.js'
import type { App } from '../app.js'
import { rowSchema } from '../views.js'
import type { Dataset } from './dataset.js'

/** What a version says of a row. */
export type Answer =
  | { readonly kind: 'probabilities'; readonly byClass: ReadonlyMap<string, number> }
  | { readonly kind: 'label'; readonly label: string }
  | { readonly kind: 'value'; readonly value: number }
  /** It answered, with NaN or an infinity. */
  | { readonly kind: 'not-finite' }
  /** It could not take the row. */
  | { readonly kind: 'refused'; readonly problem: string }

const CALL_MS = 60_000
const RETRY_MS = 100
const MAX_RETRIES = 100
/** So many refused rows, and none answered: it takes none of them. */
const HOPELESS_ROWS = 200

export class Scorer {
  readonly refusedProblems: string[] = []
  refused = 0
  notFinite = 0
  #answered = 0
  readonly #schema: RowSchema
  readonly #columns: readonly { readonly feature: FeatureSpec; readonly at: number }[]
  readonly #output: string

  /** Throws GATE_DATASET_UNREADABLE when the data set lacks what the version needs. */
  constructor(
    private readonly app: App,
    private readonly served: ServedVersion,
    private readonly dataset: Dataset,
    private readonly signal: AbortSignal,
  ) {
    this.#schema = rowSchema(served)
    this.#columns = columnsFor(this.#schema, dataset, served)
    this.#output = outputFor(this.#schema, dataset, served)
  }

  async score(rows: readonly RowValue[][]): Promise<Answer[]> {
    const most = this.served.signature.batchAxis === 0 ? Math.min(this.served.manifest.batching.maxBatchSize, 64) : 1
    const answers: Answer[] = []
    for (let from = 0; from < rows.length; from += most) {
      this.signal.throwIfAborted()
      answers.push(...(await this.#batch(rows.slice(from, from + most))))
      if (this.#answered === 0 && this.refused >= HOPELESS_ROWS) throw this.#hopeless()
    }
    return answers
  }

  #hopeless(): HeadraceError {
    const { model, version } = this.served.ref
    return GateErrors.DATASET_UNREADABLE({
      dataset: this.dataset.name,
      problem: `version ${version} of "${model}" takes none of its rows: ${this.refusedProblems[0]}`,
    })
  }

  async #batch(rows: readonly RowValue[][]): Promise<Answer[]> {
    try {
      const tensors = rowsToTensors(
        rows.map((row) => this.#features(row)),
        this.#schema,
      )
      const outputs = await this.#call(tensors, rows.length)
      return rows.map((_, i) => this.#read(tensorsToNamedOutputs(outputs, i, this.#schema)))
    } catch (thrown) {
      const error = toHeadraceError(thrown)
      this.signal.throwIfAborted()
      if (!isOfRows(error)) throw error
      if (rows.length > 1) {
        const each: Answer[] = []
        for (const row of rows) each.push(...(await this.#batch([row])))
        return each
      }
      this.refused++
      if (this.refusedProblems.length < 3) this.refusedProblems.push(error.message)
      return [{ kind: 'refused', problem: error.message }]
    }
  }

  /** Under load its calls are the first to be turned away; they come again. */
  async #call(tensors: ReturnType<typeof rowsToTensors>, rows: number) {
    const { clock } = this.app.platform
    for (let tries = 0; ; tries++) {
      // A version that was loaded anew, or rests, has another leaf.
      const leaf = (this.app.pool.get(this.served.ref) ?? this.served).leaf
      try {
        const input = { tensors, rows, outputs: undefined, priority: 'low' as const, isTest: true }
        return (await leaf.call(input, Deadline.in(clock, CALL_MS))).outputs
      } catch (error) {
        if (!TURNED_AWAY.has((error as HeadraceError).code) || tries === MAX_RETRIES) throw error
        await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve))
        this.signal.throwIfAborted()
      }
    }
  }

  #features(row: readonly RowValue[]): Record<string, FeatureValue> {
    const features: Record<string, FeatureValue> = {}
    for (const { feature, at } of this.#columns) features[feature.name] = convert(row[at]!, feature)
    return features
  }

  #read(named: NamedOutputs): Answer {
    this.#answered++
    const answer = answerOf(named[this.#output], this.dataset.settings, this.#schema.labels)
    if (answer.kind === 'not-finite') this.notFinite++
    return answer
  }
}

const TURNED_AWAY: ReadonlySet<string> = new Set([
  'SERVING_QUEUE_FULL',
  'SERVING_OVERLOADED',
  'SERVING_DISPLACED',
  'SERVING_POOL_FULL',
])

/** What a row may be to blame for, alone. */
function isOfRows({ code, retry }: HeadraceError): boolean {
  return (
    !retry &&
    (code.startsWith('TENSOR_') ||
      code === 'SERVING_RUN_FAILED' ||
      code === 'SERVING_LENGTHS_DIFFER' ||
      code.startsWith('SCRIPT_') ||
      code.startsWith('ONNX_'))
  )
}

function columnsFor(schema: RowSchema, { columns, settings, name }: Dataset, { ref, signature }: ServedVersion) {
  const given = settings.features
  const named = given === undefined || Array.isArray(given) ? undefined : (given as Readonly<Record<string, string>>)
  const allowed = Array.isArray(given) ? new Set<string>(given) : undefined
  const missing: string[] = []
  const found = schema.features.flatMap((feature, i) => {
    const column = named?.[feature.name] ?? feature.name
    const at = allowed === undefined || allowed.has(column) ? columns.indexOf(column) : -1
    if (at >= 0) return [{ feature, at }]
    if (!(schema.layout === 'inputs' && signature.inputs[i]?.isOptional)) missing.push(feature.name)
    return []
  })
  if (missing.length === 0) return found
  throw GateErrors.DATASET_UNREADABLE({
    dataset: name,
    problem: `it has no column for ${missing
      .slice(0, 10)
      .map((one) => `"${one}"`)
      .join(
        ', ',
      )}, which version ${ref.version} of "${ref.model}" needs. Make one with its features ("headrace features training-set"), or name the columns with "features".`,
  })
}

function outputFor({ outputs }: RowSchema, { settings, name }: Dataset, { ref }: ServedVersion): string {
  const known = outputs.map((output) => output.name)
  if (settings.output !== undefined) {
    const wanted = outputs.find((output) => output.name === settings.output || output.tensor === settings.output)
    if (wanted !== undefined) return wanted.name
  } else {
    const by = (meaning: string) => outputs.filter((output) => output.meaning === meaning).map((output) => output.name)
    const values = by('value')
    const found = settings.kind === 'classification' ? (by('probabilities')[0] ?? by('label')[0]) : undefined
    if (found !== undefined) return found
    if (values.length === 1) return values[0]!
  }
  throw GateErrors.DATASET_UNREADABLE({
    dataset: name,
    problem: `it does not say which output of version ${ref.version} of "${ref.model}" is judged (${known.join(', ')}); set "output".`,
  })
}

function convert(value: RowValue, { type, datatype }: FeatureSpec): FeatureValue {
  if (type === 'string' && (typeof value === 'number' || typeof value === 'bigint')) return String(value)
  if (type === 'number' || type === 'integer') {
    if (typeof value === 'boolean') return value ? 1 : 0
    if (typeof value === 'bigint' && !datatype.endsWith('64')) return Number(value)
  }
  if (type === 'boolean' && (value === 0 || value === 1)) return value === 1
  return value
}

function answerOf(
  value: NamedOutputs[string] | undefined,
  settings: DatasetSettings,
  labels: readonly string[] | undefined,
): Answer {
  if (value === null || value === undefined) return { kind: 'not-finite' }
  if (settings.kind === 'regression') {
    const number =
      typeof value === 'string' ? Number(value) : Array.isArray(value) && value.length === 1 ? value[0] : value
    return typeof number === 'number' && Number.isFinite(number)
      ? { kind: 'value', value: number }
      : { kind: 'not-finite' }
  }
  if (typeof value === 'string' || typeof value === 'boolean') return { kind: 'label', label: classText(value) }
  if (typeof value === 'number') {
    // A class by its number, or one probability of the second of two classes.
    if (labels === undefined && Number.isInteger(value) && settings.output === undefined)
      return { kind: 'label', label: String(value) }
    return probabilities([1 - value, value], labels)
  }
  if (Array.isArray(value))
    return probabilities(
      (value as readonly NamedValue[]).map((p) => (p === null ? Number.NaN : Number(p))),
      labels,
    )
  const entries = Object.entries(value as Readonly<Record<string, number | null>>)
  return probabilities(
    entries.map(([, p]) => p ?? Number.NaN),
    entries.map(([label]) => label),
  )
}

function probabilities(values: readonly number[], labels: readonly string[] | undefined): Answer {
  if (!values.every(Number.isFinite)) return { kind: 'not-finite' }
  return { kind: 'probabilities', byClass: new Map(values.map((p, i) => [labels?.[i] ?? String(i), p])) }
}

/** How a class of a data set or an answer is written: `1` and `1.0` are one class. */
export function classText(value: RowValue): string {
  return typeof value === 'boolean' ? (value ? '1' : '0') : String(value)
}
