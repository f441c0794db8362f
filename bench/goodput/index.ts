import { parseArgs } from 'node:util'
import { describeMachine, type Figures, makeReport, median, publish } from '../support/report.js'
import { bound } from './bound.js'
import { createHeadrace } from './headrace.js'
import { MODELS } from './model.js'
import { createOneByOne } from './one-by-one.js'
import { type CreateScheduler, type Outcome, replay } from './replay.js'
import { bentoMLChoices, bentoMLDefault, best, tritonChoices, tritonDefault, tritonExpertChoices } from './rivals.js'
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
/** Rivals are tuned on this seed. */
const TUNING_SEED = 1000
/** All are measured on the seeds after this one: our batcher's constants were chosen on 1, 2 and 3. */
const MEASURED_AFTER = 100
const RIVALS = ['Triton', 'BentoML'] as const
const EXPERT = 'Triton by an expert'
const UNTUNED = 'Triton untuned'

interface Case {
  readonly name: string
  readonly load: number
  /** What the sweeps found, by subject. */
  readonly configurations: Readonly<Record<string, string>>
  readonly outcomes: Readonly<Record<string, readonly Outcome[]>>
  /** Share of requests that nobody can exceed. */
  readonly bounds: readonly number[]
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
      const expert = await best(tritonExpertChoices(model), sample, model, TUNING_SEED)
      const bentoML = await best(bentoMLChoices(model), sample, model, TUNING_SEED)
      const subjects: Record<string, CreateScheduler> = {
        Headrace: createHeadrace,
        Triton: triton.create,
        BentoML: bentoML.create,
        [EXPERT]: expert.create,
        [UNTUNED]: tritonDefault,
        'BentoML untuned': bentoMLDefault,
        'one by one': createOneByOne,
      }
      const bounds: number[] = []
      const outcomes: Record<string, Outcome[]> = {}
      for (let round = 0; round < rounds; round++) {
        const seed = MEASURED_AFTER + round + 1
        const trace = makeTrace(family, model, load, durationMs, seed)
        bounds.push(bound(trace, model))
        for (const [subject, create] of Object.entries(subjects)) {
          const outcome = await replay(trace, model, seed, create)
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
      const configurations = { Triton: triton.what, BentoML: bentoML.what, [EXPERT]: expert.what }
      cases.push({ name, load, configurations, outcomes, bounds })
    }
  }
}
publish(makeReport('goodput', 'How many requests are answered within their deadline?', machine, results))
printSummary()

/** Ours against the better of the two rivals, the worst case first; then against Triton with less tuning and with more. */
function printSummary(): void {
  console.log(
    `\nVirtual time; ${rounds} rounds of ${durationMs / 1000} s; medians of the share of requests answered in time.`,
  )
  for (const load of LOADS) {
    const isOverload = load > 1
    const goal = isOverload ? 'goodput at least 1.30×' : 'misses at most 0.50×'
    console.log(`\nAt ${load}× capacity; the goal is ${goal} the best rival's. The worst first.\n`)
    const heads = ['case', 'Headrace', 'best rival', 'ratio', UNTUNED, 'ratio', EXPERT, 'ratio', 'nobody exceeds']
    console.log(`| ${heads.join(' | ')} | configuration of the best rival |\n| --- |${' ---: |'.repeat(8)} --- |`)
    const rows = cases.filter((one) => one.load === load).map((one) => summaryRow(one, isOverload))
    rows.sort((a, b) => (isOverload ? a.ratio - b.ratio : b.ratio - a.ratio))
    for (const { cells } of rows) console.log(`| ${cells.join(' | ')} |`)
  }
}

function summaryRow({ name, outcomes, configurations, bounds }: Case, isOverload: boolean) {
  const good = (subject: string): number => 1 - median(outcomes[subject]!.map(({ misses }) => misses))
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
  const ours = good('Headrace')
  const ratioTo = (theirs: number): number => (isOverload ? ours / theirs : (1 - ours) / (1 - theirs))
  const rival = good(RIVALS[0]) >= good(RIVALS[1]) ? RIVALS[0] : RIVALS[1]
  const ratio = ratioTo(good(rival))
  const target = isOverload ? 1.3 * good(rival) : 1 - 0.5 * (1 - good(rival))
  const most = median(bounds)
  const cells = [
    name,
    percent(ours),
    percent(good(rival)),
    `${ratio.toFixed(2)}×`,
    ...[UNTUNED, EXPERT].flatMap((subject) => [percent(good(subject)), `${ratioTo(good(subject)).toFixed(2)}×`]),
    most >= target ? percent(most) : `${percent(most)}, less than the goal`,
    `${rival}: ${configurations[rival]!}`,
  ]
  return { ratio, cells }
}
