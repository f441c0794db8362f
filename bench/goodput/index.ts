import { parseArgs } from 'node:util'
import { describeMachine, type Figures, makeReport, median, publish } from '../support/report.js'
import { createHeadrace } from './headrace.js'
import { MODELS } from './model.js'
import { createOneByOne } from './one-by-one.js'
import { type CreateScheduler, type Outcome, replay } from './replay.js'
import { bentoMLChoices, bentoMLDocumented, best, tritonChoices, tritonDocumented } from './rivals.js'
import { FAMILIES, makeTrace } from './traces.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '20' },
    /** Only families whose name holds this. */
    family: { type: 'string', default: '' },
  },
})
const rounds = Number(values.rounds)
const durationMs = Number(values.seconds) * 1000
const LOADS = [0.9, 1.3]
/** Rivals are tuned on this seed and measured on 1, 2, 3 and so on. */
const TUNING_SEED = 1000
const RIVALS = ['Triton, tuned', 'BentoML, tuned'] as const

interface Case {
  readonly name: string
  readonly load: number
  readonly tuned: readonly string[]
  readonly outcomes: Readonly<Record<string, readonly Outcome[]>>
}

const machine = describeMachine()
const cases: Case[] = []
const results: Record<string, Record<string, number>[]> = {}
for (const family of FAMILIES) {
  if (!family.name.includes(values.family)) continue
  for (const model of MODELS) {
    for (const load of LOADS) {
      const name = `${family.name}, ${model.name}, ${load}×`
      const sample = makeTrace(family, model, load, durationMs, TUNING_SEED)
      const triton = await best(tritonChoices(model), sample, model, TUNING_SEED)
      const bentoML = await best(bentoMLChoices(model), sample, model, TUNING_SEED)
      const subjects: Record<string, CreateScheduler> = {
        Headrace: createHeadrace,
        'Triton, tuned': triton.create,
        'BentoML, tuned': bentoML.create,
        'Triton, as documented': tritonDocumented,
        'BentoML, as documented': bentoMLDocumented,
        'one by one': createOneByOne,
      }
      const outcomes: Record<string, Outcome[]> = {}
      for (let round = 0; round < rounds; round++) {
        const trace = makeTrace(family, model, load, durationMs, round + 1)
        for (const [subject, create] of Object.entries(subjects)) {
          const outcome = await replay(trace, model, round + 1, create)
          outcomes[subject] ??= []
          outcomes[subject].push(outcome)
          results[subject] ??= []
          results[subject][round] ??= {}
          Object.assign(results[subject][round]!, {
            [`${name}: goodputPerSecond`]: outcome.goodput,
            [`${name}: misses`]: outcome.misses,
            [`${name}: meanBatchRows`]: outcome.meanBatchRows,
          } satisfies Figures)
        }
      }
      cases.push({ name, load, tuned: [triton.what, bentoML.what], outcomes })
    }
  }
}
publish(makeReport('goodput', 'How many requests are answered within their deadline?', machine, results))
printSummary()

interface Row {
  readonly cells: readonly string[]
  readonly ratio: number
}

/** Ours against the better of the two tuned rivals, the worst case first. */
function printSummary(): void {
  console.log(
    `\nVirtual time; ${rounds} rounds of ${durationMs / 1000} s. Ratios of medians, against the better of the two tuned rivals.`,
  )
  for (const load of LOADS) {
    const goal = load > 1 ? 'goodput: at least 1.3 times' : 'misses: at most 0.5 times'
    console.log(`\nAt ${load}× capacity, ${goal} the best rival's\n`)
    console.log('| case | Headrace | best rival | ratio | its configuration |\n| --- | ---: | ---: | ---: | --- |')
    const rows = cases.filter((one) => one.load === load).map((one) => (load > 1 ? goodputRow(one) : missesRow(one)))
    rows.sort((a, b) => (load > 1 ? a.ratio - b.ratio : b.ratio - a.ratio))
    for (const { cells } of rows) console.log(`| ${cells.join(' | ')} |`)
  }
}

function goodputRow({ name, outcomes, tuned }: Case): Row {
  const of = (subject: string): number => median(outcomes[subject]!.map(({ goodput }) => goodput))
  const rivals = RIVALS.map(of)
  const rival = rivals[0]! >= rivals[1]! ? 0 : 1
  const ratio = of('Headrace') / rivals[rival]!
  return {
    ratio,
    cells: [
      name,
      `${of('Headrace').toFixed(0)}/s`,
      `${rivals[rival]!.toFixed(0)}/s`,
      ratio.toFixed(2),
      `${RIVALS[rival]}: ${tuned[rival]}`,
    ],
  }
}

function missesRow({ name, outcomes, tuned }: Case): Row {
  const of = (subject: string): number => median(outcomes[subject]!.map(({ misses }) => misses))
  const rivals = RIVALS.map(of)
  const rival = rivals[0]! <= rivals[1]! ? 0 : 1
  const ratio = of('Headrace') / rivals[rival]!
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
  return {
    ratio,
    cells: [
      name,
      percent(of('Headrace')),
      percent(rivals[rival]!),
      ratio.toFixed(2),
      `${RIVALS[rival]}: ${tuned[rival]}`,
    ],
  }
}
