// `headrace features get | push`: features of entities as they are now, and events that change them.
import type { Command } from 'commander'
import type { IngestReport } from '../features/index.js'
import { type Faces, withApi } from './context.js'
import { CliErrors } from './errors.js'
import { readInput } from './input-file.js'
import { globalOptions } from './options.js'
import { ageText, print, printJson, shortNumber, shortText, table } from './output.js'

interface Online {
  readonly rows: number
  readonly isDegraded: boolean
  readonly features: readonly {
    readonly name: string
    readonly values: readonly unknown[]
    readonly statuses: readonly string[]
    readonly sources: readonly string[]
    readonly agesMs: readonly (number | null)[]
  }[]
}

/** What a server takes at once: its limit is 1 MiB. */
const EVENTS_AT_ONCE = 1000
const BYTES_AT_ONCE = 900_000

export function addFeatureReading(features: Command, faces: Faces): void {
  features
    .command('get')
    .argument('<entity...>', 'keys of one entity: user_id=u1')
    .option('--service <name>', 'all features of a service')
    .option('--feature <view:feature...>', 'some features')
    .option('--request <json>', 'inputs of on-demand views, by name', '{}')
    .description('features of an entity as they are now, with their age and where they come from')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace features get user_id=u1 --service fraud --request \'{"amount": 12.5}\'\n  headrace features get user_id=u1 --feature user_spend:spend_30d\n',
    )
    .action(
      async (
        pairs: string[],
        own: { readonly service?: string; readonly feature?: readonly string[]; readonly request: string },
        command: Command,
      ) => {
        const options = globalOptions(command)
        if ((own.service === undefined) === (own.feature === undefined))
          throw CliErrors.USAGE({ problem: 'Give --service or --feature.', help: 'headrace features get --help' })
        const body = {
          ...(own.service === undefined ? { features: own.feature } : { service: own.service }),
          request: parseJson(own.request, '--request'),
        }
        const answer = await withApi(faces, options, { loads: false }, (api) => {
          const keys = pairs.map(keyOf)
          return api.json<Online>('POST', '/api/v1/features/online', { ...body, entities: Object.fromEntries(keys) })
        })
        if (options.json) return printJson(answer)
        const rows = answer.features.map(({ name, values, statuses, sources, agesMs }) => [
          name,
          valueText(values[0]),
          sources[0] === 'online' || sources[0] === 'on-demand' ? '' : `${sources[0]}: ${statuses[0]}`,
          agesMs[0] === null || agesMs[0] === undefined ? '' : ageText(agesMs[0]),
        ])
        print(table(['feature', 'value', '', 'age'], rows))
      },
    )

  features
    .command('push')
    .argument('<source>', 'a push source')
    .option('--event <json>', 'an event, or a list of them')
    .option('--file <file>', 'a file with a list of events, or one a line')
    .description('events of a push source; they count within milliseconds')
    .addHelpText('after', '\nExample:\n  headrace features push orders --event \'{"user_id": "u1", "amount": 12.5}\'\n')
    .action(async (source: string, own: { readonly event?: string; readonly file?: string }, command: Command) => {
      const options = globalOptions(command)
      const events = await eventsOf(own)
      const total = {
        accepted: 0,
        duplicates: 0,
        late: 0,
        refused: 0,
        problems: [] as IngestReport['problems'][number][],
      }
      await withApi(faces, options, { loads: false }, async (api) => {
        for (let from = 0; from < events.length; ) {
          const part = events.slice(from, endOfBatch(events, from))
          const report = await api.json<IngestReport>('POST', '/api/v1/features/push', { source, events: part })
          total.accepted += report.accepted
          total.duplicates += report.duplicates
          total.late += report.late
          total.refused += report.refused
          const problems = [...report.problems].sort((a, b) => a.index - b.index)
          total.problems.push(...problems.map((one) => ({ ...one, index: one.index + from })))
          from += part.length
        }
      })
      if (options.json) return printJson(total)
      print(
        `${total.accepted} taken in, ${total.duplicates} duplicates, ${total.late} too late to count, ${total.refused} refused.`,
      )
      for (const { index, problem } of total.problems.slice(0, 10)) print(`  event ${index + 1}: ${problem}`)
    })
}

/** Index after the last event that goes with the one at `from`; that one always goes. */
function endOfBatch(events: readonly unknown[], from: number): number {
  let sizeBytes = 0
  let to = from
  while (to < events.length && to - from < EVENTS_AT_ONCE) {
    sizeBytes += Buffer.byteLength(JSON.stringify(events[to])) + 1
    if (sizeBytes > BYTES_AT_ONCE && to > from) break
    to++
  }
  return to
}

/** As text, in which no digit of a whole number is lost. */
function keyOf(pair: string): readonly [string, string] {
  const at = pair.indexOf('=')
  if (at < 1) throw CliErrors.USAGE({ problem: `"${pair}" is no key=value.`, help: 'headrace features get --help' })
  return [pair.slice(0, at), pair.slice(at + 1)]
}

async function eventsOf({ event, file }: { readonly event?: string; readonly file?: string }): Promise<unknown[]> {
  if ((event === undefined) === (file === undefined))
    throw CliErrors.USAGE({ problem: 'Give --event or --file.', help: 'headrace features push --help' })
  const text = event ?? (await readInput(file!)).toString('utf8')
  const isLines = event === undefined && !text.trimStart().startsWith('[')
  const parsed = isLines
    ? text
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line) => parseJson(line, file!))
    : parseJson(text, file ?? '--event')
  return Array.isArray(parsed) ? parsed : [parsed]
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw CliErrors.USAGE({
      problem: `${where} is no JSON: ${(error as Error).message}.`,
      help: 'headrace features --help',
    })
  }
}

function valueText(value: unknown): string {
  if (typeof value === 'number') return shortNumber(value)
  return shortText(typeof value === 'string' ? value : JSON.stringify(value))
}
