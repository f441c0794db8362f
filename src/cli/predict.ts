// `headrace predict`: one native call, with features from the command line or a file.
import type { Command } from 'commander'
import { type Faces, withApi } from './context.js'
import { CliErrors } from './errors.js'
import { readInput } from './input-file.js'
import { globalOptions } from './options.js'
import { print, printJson, shortNumber, shortText } from './output.js'

interface PredictOptions {
  readonly input?: string
  readonly file?: string
  readonly unit?: string
  readonly entity: readonly string[]
}

interface NativeAnswer {
  readonly id: string
  readonly model: string
  readonly version: number
  readonly outputs: Readonly<Record<string, unknown>>
  readonly flags: readonly string[]
  readonly error?: { readonly code: string; readonly message: string }
}

export function addPredict(program: Command, faces: Faces): void {
  program
    .command('predict')
    .argument('<endpoint>')
    .argument('[features...]', 'name=value pairs')
    .option('--input <json>', 'a row of features, or a list of rows, as JSON')
    .option('--file <file>', 'a file with that JSON; "rows" of a sample file are taken too')
    .option('--unit <unit>', 'who the prediction is about (user, session, …)')
    .option(
      '--entity <key=value>',
      'entity key that features are looked up by; may be given more than once',
      collect,
      [],
    )
    .description('ask an endpoint for a prediction')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace predict fraud --file samples/fraud.json\n  headrace predict fraud --input \'{"amount": 12.5, "country": "DE"}\'\n  headrace predict fraud amount=12.5 country=DE\n  headrace predict purchase-intent --entity user_id=shp_00001\n',
    )
    .action(async (endpoint: string, pairs: string[], own: PredictOptions, command: Command) => {
      const options = globalOptions(command)
      const inputs = await inputsOf(pairs, own)
      const entities = entitiesOf(own.entity)
      const body = {
        ...(inputs === undefined ? {} : { inputs }),
        ...(entities === undefined ? {} : { entities: Array.isArray(inputs) ? inputs.map(() => entities) : entities }),
        ...(own.unit === undefined ? {} : { unit: own.unit }),
      }
      const answer = await withApi(faces, options, { loads: true }, (api) =>
        api.json<NativeAnswer | { predictions: NativeAnswer[] }>(
          'POST',
          `/api/v1/predict/${encodeURIComponent(endpoint)}`,
          body,
        ),
      )
      if (options.json) return printJson(answer)
      for (const prediction of 'predictions' in answer ? answer.predictions : [answer]) print(describe(prediction))
    })
}

function describe({ id, model, version, outputs, flags, error }: NativeAnswer): string {
  if (error !== undefined) return `${id}  failed: ${error.code}: ${error.message}`
  const values = Object.entries(outputs).map(([name, value]) => `${name}: ${describeOutput(value)}`)
  // A constant is no version.
  const from = version === 0 ? model : `${model}/${version}`
  return `${values.join('  ')}  (${[from, ...flags].join(', ')}, id ${id})`
}

function describeOutput(value: unknown): string {
  if (typeof value === 'number') return shortNumber(value)
  if (typeof value === 'string') return value
  const isByLabel = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isByLabel) return shortText(JSON.stringify(value))
  return Object.entries(value)
    .map(([label, share]) => `${label} ${typeof share === 'number' ? shortNumber(share) : JSON.stringify(share)}`)
    .join(', ')
}

function collect(text: string, before: readonly string[]): string[] {
  return [...before, text]
}

/** Keys stay text, which keys of integers are taken from too. */
function entitiesOf(texts: readonly string[]): Record<string, string> | undefined {
  if (texts.length === 0) return undefined
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=')
      if (at <= 0)
        throw CliErrors.USAGE({ problem: `--entity "${text}" is not key=value.`, help: 'headrace predict --help' })
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}

/** undefined: features of entities are all that it needs. */
async function inputsOf(pairs: readonly string[], { input, file, entity }: PredictOptions): Promise<unknown> {
  const given = [pairs.length > 0, input !== undefined, file !== undefined].filter(Boolean).length
  const help = 'headrace predict --help'
  if (given === 0 && entity.length > 0) return undefined
  if (given !== 1)
    throw CliErrors.USAGE({
      problem: 'Give the features as name=value pairs, with --input or with --file, one of them.',
      help,
    })
  if (input !== undefined) return parseJson(input, '--input')
  if (file !== undefined) {
    const value = parseJson((await readInput(file)).toString('utf8'), file)
    return typeof value === 'object' && value !== null && 'rows' in value ? value.rows : value
  }
  return Object.fromEntries(pairs.map(pair))
}

function pair(text: string): [string, unknown] {
  const at = text.indexOf('=')
  if (at <= 0)
    throw CliErrors.USAGE({ problem: `"${text}" is not a name=value pair.`, help: 'headrace predict --help' })
  const value = text.slice(at + 1)
  // Numbers and booleans as themselves; everything else is text, so that country=DE needs no quotes.
  return [text.slice(0, at), /^(-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false|null)$/.test(value) ? JSON.parse(value) : value]
}

function parseJson(text: string, from: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw CliErrors.USAGE(
      { problem: `${from} is not JSON: ${(error as Error).message}.`, help: 'headrace predict --help' },
      error,
    )
  }
}
