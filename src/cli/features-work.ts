// `headrace features materialise | training-set | verify | infer | check | quarantine`: work that takes a while, and what it keeps out.
import path from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { systemClock } from '../core/index.js'
import { type Duration, durationMs, type QuarantineView } from '../features/index.js'
import { type Faces, type GlobalOptions, withApi } from './context.js'
import { CliErrors } from './errors.js'
import { runJob } from './follow-job.js'
import { globalOptions, wholeNumber } from './options.js'
import { print, printJson, shortNumber, shortText, table } from './output.js'

interface TrainingSet {
  readonly rows: number
  readonly out: string
  readonly elapsedMs: number
  readonly features: readonly { readonly name: string; readonly nulls: number }[]
  readonly proof?: { readonly rows: number; readonly values: number }
}

interface LoggedTrainingSet {
  readonly rows: number
  readonly out: string
  /** Rows that have each. */
  readonly outcomes: Readonly<Record<string, number>>
}

interface Verification {
  readonly service: string
  readonly vectors: number
  readonly checked: number
  readonly matchRate: number
  readonly features: readonly {
    readonly name: string
    readonly compared: number
    readonly matchRate: number
    readonly missing: number
    readonly extra: number
    readonly mismatched: number
    readonly late: number
    readonly degradedShare: number
    readonly relativeError?: { readonly p50: number; readonly p99: number; readonly max: number }
    readonly editDistance?: { readonly p50: number; readonly p99: number; readonly max: number }
  }[]
}

interface Quality {
  readonly of: string
  readonly rows: number
  readonly passed: boolean
  readonly results: readonly { readonly reason: string; readonly passed: boolean; readonly explanation: string }[]
}

interface Materialised {
  readonly views: readonly {
    readonly view: string
    readonly table: string
    readonly mode: string
    readonly keys: number
    readonly quarantined: number
    readonly elapsedMs: number
  }[]
}

export function addFeatureWork(features: Command, faces: Faces): void {
  const run = <T>(options: GlobalOptions, job: string, body: object): Promise<T> =>
    withApi(faces, options, { loads: false }, (api) => runJob<T>(api, job, body))

  features
    .command('materialise')
    .argument('[views...]', 'default: every view with a batch source')
    .option('--full', 'everything again, into tables beside the live ones, which are then switched to')
    .option('--until <time>', 'rows known up to here, ISO 8601; default now', moment)
    .description('fill the online store from the batch sources')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace features materialise\n  headrace features materialise merchant_risk --full\n',
    )
    .action(async (views: string[], own: { full?: true; until?: number }, command: Command) => {
      const options = globalOptions(command)
      const body = {
        ...(views.length === 0 ? {} : { views }),
        ...(own.full === undefined ? {} : { full: true }),
        ...(own.until === undefined ? {} : { untilMs: own.until }),
      }
      const done = await run<Materialised>(options, 'materialise', body)
      if (options.json) return printJson(done)
      const rows = done.views.map((one) => [
        one.view,
        one.mode,
        one.keys,
        one.quarantined,
        `${seconds(one.elapsedMs)} s`,
        one.table,
      ])
      print(table(['view', 'mode', 'keys', 'quarantined', 'took', 'table'], rows))
    })

  features
    .command('training-set')
    .requiredOption('--service <name>', 'whose features')
    .requiredOption('--out <file>', '.parquet, .csv or .json')
    .option(
      '--entities <file>',
      'labels: entity keys, a time, inputs of on-demand views, and whatever else; Parquet, CSV or JSON',
    )
    .option('--time-column <name>', 'column of the labels with their moments', 'event_timestamp')
    .option('--proof <rows>', 'derive so many rows again by brute force, and fail on any difference', wholeNumber)
    .option('--with-times', 'beside each feature, the time of its row')
    .option('--no-resume', 'begin anew instead of going on where an interrupted run stopped')
    .option('--from-log', 'what was served, with the outcomes that joined, in place of labels')
    .option('--since <duration>', 'with --from-log: how far back, such as 30d; default everything', duration)
    .option('--outcome <name>', 'with --from-log: the only outcome that is joined')
    .description('for each label row, the values as they were known then')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace features training-set --service fraud --entities labels.parquet --out train.parquet --proof 1000\n  headrace features training-set --service fraud --from-log --since 30d --out train.parquet\n',
    )
    .action(async (own: TrainingSetOptions, command: Command) => {
      const options = globalOptions(command)
      const order = trainingSetOrder(own, options)
      if (own.fromLog) {
        const done = await run<LoggedTrainingSet>(options, 'training-sets/from-log', order)
        if (options.json) return printJson(done)
        const rows = Object.entries(done.outcomes)
        if (rows.length > 0) print(`${table(['outcome', 'rows'], rows)}\n`)
        return print(`${done.rows} rows in ${done.out}.`)
      }
      const done = await run<TrainingSet>(options, 'training-sets', order)
      if (options.json) return printJson(done)
      const rows = done.features.map(({ name, nulls }) => [
        name,
        done.rows === 0 ? '' : `${shortNumber((100 * nulls) / done.rows)} %`,
      ])
      print(table(['feature', 'without a value'], rows))
      print(`\n${done.rows} rows in ${done.out}, in ${seconds(done.elapsedMs)} s.`)
      if (done.proof)
        print(
          `Proof: ${done.proof.values} values of ${done.proof.rows} rows derived again by brute force, all the same.`,
        )
    })

  features
    .command('verify')
    .requiredOption('--service <name>', 'whose served values')
    .option('--since <duration>', 'how far back, such as 24h or 7d', duration, 86_400_000)
    .option('--limit <number>', 'served vectors that are compared at most', wholeNumber)
    .option('--tolerance <number>', 'relative, of numbers with fractions; default 1e-9', Number)
    .option('--min-match <share>', 'fail below this share of equal values, 0 to 1', Number)
    .description('compare what was served with what the definitions give for the same moments')
    .addHelpText('after', '\nExample:\n  headrace features verify --service fraud --since 24h\n')
    .action(
      async (
        own: { service: string; since: number; limit?: number; tolerance?: number; minMatch?: number },
        command: Command,
      ) => {
        const options = globalOptions(command)
        const { service, since, limit, tolerance, minMatch } = own
        const report = await run<Verification>(options, 'verify', {
          service,
          sinceMs: systemClock.nowMs() - since,
          ...(limit === undefined ? {} : { limit }),
          ...(tolerance === undefined ? {} : { tolerance }),
        })
        if (options.json) printJson(report)
        else print(verification(report))
        if (minMatch === undefined) return
        if (!report.features.some(({ compared }) => compared > 0)) throw CliErrors.FEATURES_NOT_COMPARED({ service })
        if (report.matchRate < minMatch)
          throw CliErrors.FEATURES_DIFFER({ service, matchRate: report.matchRate, minMatch })
      },
    )

  features
    .command('infer')
    .argument('<view>')
    .option('--since <duration>', 'rows of this age at most', duration)
    .description('expectations that the rows of a view keep, as TypeScript to edit')
    .addHelpText('after', '\nExample:\n  headrace features infer user_spend > features/user-spend-expectations.ts\n')
    .action(async (view: string, own: { since?: number }, command: Command) => {
      const options = globalOptions(command)
      const inferred = await run<{ readonly module: string }>(options, 'infer', { view, ...sinceOf(own.since) })
      if (options.json) printJson(inferred)
      else print(inferred.module.trimEnd())
    })

  features
    .command('check')
    .argument('<view>')
    .option('--since <duration>', 'judge rows of this age at most, against those before', duration)
    .description('judge the rows of a view by its expectations')
    .addHelpText('after', '\nExample:\n  headrace features check user_spend --since 1d\n')
    .action(async (view: string, own: { since?: number }, command: Command) => {
      const options = globalOptions(command)
      const report = await run<Quality>(options, 'check', { view, ...sinceOf(own.since) })
      if (options.json) printJson(report)
      else {
        const rows = report.results.map(({ reason, passed, explanation }) => [
          passed ? 'kept' : 'broken',
          reason,
          explanation,
        ])
        print(rows.length === 0 ? `${view} has no expectations.` : table(['', 'expectation', 'found'], rows))
      }
      if (!report.passed) throw CliErrors.EXPECTATIONS_BROKEN({ view })
    })

  features
    .command('quarantine')
    .option('--of <name>', 'only of this source or view')
    .option('--reason <reason>', 'only those that broke this rule, such as "range amount"')
    .option('--limit <number>', 'how many rows', wholeNumber, 20)
    .option('--remove', 'remove them for good')
    .option('--retry', 'take them in again, once the rule or the definition is corrected; needs --of a stream source')
    .description('rows that broke a rule: counts, and the newest of them')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace features quarantine\n  headrace features quarantine --of orders --retry\n',
    )
    .action(async (own: QuarantineOptions, command: Command) => {
      const options = globalOptions(command)
      const { of, reason, limit, remove, retry } = own
      const filter = new URLSearchParams({ ...(of && { of }), ...(reason && { reason }) })
      await withApi(faces, options, { loads: false }, async (api) => {
        if (retry) {
          if (of === undefined)
            throw CliErrors.USAGE({
              problem: 'Say of which source: --of.',
              help: 'headrace features quarantine --help',
            })
          const report = await api.json<{ accepted: number; refused: number }>(
            'POST',
            '/api/v1/features/quarantine/retry',
            {
              of,
              ...(reason === undefined ? {} : { reason }),
            },
          )
          if (options.json) printJson(report)
          else print(`${report.accepted} taken in, ${report.refused} refused again.`)
          return
        }
        if (remove) {
          const { removed } = await api.json<{ removed: number }>('DELETE', `/api/v1/features/quarantine?${filter}`)
          if (options.json) printJson({ removed })
          else print(`${removed} rows removed.`)
          return
        }
        filter.set('limit', String(limit))
        const view = await api.json<QuarantineView>('GET', `/api/v1/features/quarantine?${filter}`)
        if (options.json) return printJson(view)
        if (view.counts.length === 0) return print('No rows are in quarantine.')
        print(
          table(
            ['of', 'reason', 'rows', 'dropped'],
            view.counts.map((one) => [one.of, one.reason, one.rows, one.dropped]),
          ),
        )
        const rows = view.rows.map((row) => [
          new Date(row.atMs).toISOString(),
          row.of,
          shortText(row.problem),
          shortText(row.row),
        ])
        if (rows.length > 0) print(`\n${table(['time', 'of', 'problem', 'row'], rows)}`)
      })
    })
}

interface QuarantineOptions {
  readonly of?: string
  readonly reason?: string
  readonly limit: number
  readonly remove?: true
  readonly retry?: true
}

interface TrainingSetOptions {
  readonly service: string
  readonly out: string
  readonly entities?: string
  readonly timeColumn: string
  readonly proof?: number
  readonly withTimes?: true
  readonly resume: boolean
  readonly fromLog?: true
  readonly since?: number
  readonly outcome?: string
}

/** A server that is named may be on another machine: paths are then its own. */
function trainingSetOrder(own: TrainingSetOptions, { server }: GlobalOptions): object {
  const here = (file: string) => (server === undefined && !/^\w{2,}:/.test(file) ? path.resolve(file) : file)
  const { service, entities, timeColumn, proof, withTimes, resume, fromLog, since, outcome } = own
  const out = here(own.out)
  if (fromLog) {
    return { service, out, ...sinceOf(since), ...(outcome === undefined ? {} : { outcome }) }
  }
  if (entities === undefined) {
    const problem = 'Give --entities with the labels, or --from-log.'
    throw CliErrors.USAGE({ problem, help: 'headrace features training-set --help' })
  }
  return {
    service,
    labels: here(entities),
    out,
    timeColumn,
    resume,
    ...(proof === undefined ? {} : { proofRows: proof }),
    ...(withTimes === undefined ? {} : { withTimes }),
  }
}

function verification({ service, vectors, checked, matchRate, features }: Verification): string {
  if (checked === 0) return `Nothing of ${service} was served in that time (${vectors} vectors).`
  const rows = features.map((one) => [
    one.name,
    one.compared,
    `${shortNumber(100 * one.matchRate)} %`,
    one.mismatched,
    one.missing,
    one.extra,
    one.late,
    one.relativeError ? shortNumber(one.relativeError.p99) : '',
    one.editDistance ? shortNumber(one.editDistance.p99) : '',
    `${shortNumber(100 * one.degradedShare)} %`,
  ])
  const head = [
    'feature',
    'compared',
    'match',
    'other',
    'missing',
    'extra',
    'late',
    'error p99',
    'edits p99',
    'degraded',
  ]
  return `${table(head, rows)}\n\n${shortNumber(100 * matchRate)} % of the values in ${checked} of ${vectors} served vectors match.`
}

const seconds = (ms: number) => shortNumber(Math.round(ms / 100) / 10)

function sinceOf(ageMs: number | undefined): { readonly sinceMs?: number } {
  return ageMs === undefined ? {} : { sinceMs: systemClock.nowMs() - ageMs }
}

function duration(text: string): number {
  try {
    return durationMs(text as Duration, 'It')
  } catch {
    throw new InvalidArgumentError('Give a number and a unit, such as 24h or 7d.')
  }
}

function moment(text: string): number {
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw new InvalidArgumentError('Give a time such as 2026-11-22T10:00:00Z.')
  return ms
}
