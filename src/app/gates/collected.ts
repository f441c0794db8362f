// Answers of the candidate and the champion to the same rows, with the truth, gathered into the arrays that metrics are made from. Only rows
// that count for both are kept: a difference on different rows says nothing.
import type { RowValue } from '../../features/index.js'
import { GateErrors, type JudgedRows, type SliceColumn } from '../../release/index.js'
import type { ServedVersion } from '../../serving/index.js'
import type { Predictions } from '../../stats/index.js'
import type { Dataset } from './dataset.js'
import { type Answer, classText } from './scorer.js'

type Told = Exclude<Answer, { readonly kind: 'refused' | 'not-finite' }>

/** More values of a column than these are gathered under one: a column of ids is no slice. */
const MAX_VALUES = 100
const REST = '(other values)'
/** Between two turns others get the event loop. */
const TURN_ROWS = 2000

export class Collected {
  withoutLabel = 0
  readonly #truth: (string | number)[] = []
  readonly #candidate: Told[] = []
  #champion: Told[] | undefined
  readonly #weights: number[] = []
  readonly #slices: {
    readonly column: string
    readonly at: number
    readonly index: Map<string, number>
    readonly of: number[]
  }[]
  readonly #label: number
  readonly #weight: number
  readonly #known: readonly string[] | undefined
  readonly #unknown = new Map<string, number>()
  /** Classes of truth and answers. */
  readonly #classesSeen = new Set<string>()
  #seen = 0
  #badWeights = 0

  constructor(
    private readonly dataset: Dataset,
    candidate: ServedVersion,
    champion: ServedVersion | undefined,
  ) {
    const { columns, settings } = dataset
    this.#champion = champion === undefined ? undefined : []
    this.#label = columns.indexOf(settings.label)
    this.#weight = settings.weight === undefined ? -1 : columns.indexOf(settings.weight)
    this.#slices = settings.slices.map((column) => ({ column, at: columns.indexOf(column), index: new Map(), of: [] }))
    this.#known = candidate.labels
  }

  get rows(): number {
    return this.#truth.length
  }

  dropChampion(): void {
    this.#champion = undefined
  }

  add(rows: readonly RowValue[][], candidate: readonly Answer[], champion: readonly Answer[] | undefined): void {
    for (let i = 0; i < rows.length; i++) {
      this.#seen++
      const row = rows[i]!
      const truth = this.#truthOf(row[this.#label]!)
      if (truth === undefined) {
        this.withoutLabel++
        continue
      }
      const weight = this.#weight < 0 ? 1 : Number(row[this.#weight])
      if (!(weight >= 0 && Number.isFinite(weight))) {
        this.#badWeights++
        continue
      }
      const own = told(candidate[i]!)
      const other = champion && told(champion[i]!)
      if (own === undefined || (this.#champion !== undefined && other === undefined)) continue
      this.#truth.push(truth)
      this.#weights.push(weight)
      this.#candidate.push(own)
      this.#champion?.push(other!)
      if (typeof truth === 'string') this.#classesSeen.add(truth)
      this.#seeClasses(own)
      if (other !== undefined) this.#seeClasses(other)
      for (const slice of this.#slices) slice.of.push(indexOf(slice.index, row[slice.at]!))
    }
  }

  /** Classes of the data set that the candidate cannot answer, with their rows. */
  unknownClasses(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#unknown)
  }

  whyEmpty(): string {
    return `none of its ${this.#seen} rows can be judged (${this.withoutLabel} without a usable label, ${this.#badWeights} with a weight that is none, the others not answered).`
  }

  async finish(): Promise<JudgedRows> {
    const weights = Float64Array.from(this.#weights)
    const slices: SliceColumn[] = this.#slices.map(({ column, index, of }) => ({
      column,
      values: [...index.keys()],
      of: Int32Array.from(of),
    }))
    const isWeighted = weights.some((weight) => weight !== 1)
    if (this.dataset.settings.kind === 'regression') {
      const truth = Float64Array.from(this.#truth as number[])
      const of = (answers: readonly Told[]): Predictions => ({
        kind: 'regression',
        truth,
        predicted: Float64Array.from(answers, (answer) => (answer.kind === 'value' ? answer.value : Number.NaN)),
      })
      return {
        candidate: of(this.#candidate),
        champion: this.#champion && of(this.#champion),
        weights,
        isWeighted,
        slices,
      }
    }
    const classes = this.#classes()
    const at = new Map(classes.map((name, index) => [name, index]))
    const truth = Int32Array.from(this.#truth as string[], (name) => at.get(name)!)
    const { positive: wanted } = this.dataset.settings
    const positive = wanted === undefined ? classes.length - 1 : at.get(this.#named(classText(wanted)))
    if (positive === undefined)
      throw GateErrors.DATASET_UNREADABLE({
        dataset: this.dataset.name,
        problem: `its positive class "${wanted}" is none of ${classes.join(', ')}.`,
      })
    const of = (answers: readonly Told[]) => this.#classified(answers, truth, at, positive)
    const candidate = await of(this.#candidate)
    const champion = this.#champion && (await of(this.#champion))
    return { candidate, champion, weights, isWeighted, slices }
  }

  #truthOf(value: RowValue): string | number | undefined {
    if (value === null) return undefined
    if (this.dataset.settings.kind === 'regression') {
      const number = typeof value === 'boolean' ? Number.NaN : Number(value)
      return Number.isFinite(number) ? number : undefined
    }
    const name = this.#named(classText(value))
    if (this.#known !== undefined && !this.#known.includes(name))
      this.#unknown.set(name, (this.#unknown.get(name) ?? 0) + 1)
    return name
  }

  /** A number in the data set stands for the label at that place, unless the labels are numbers themselves. */
  #named(text: string): string {
    const known = this.#known
    if (known === undefined || known.includes(text)) return text
    return /^\d+$/.test(text) ? (known[Number(text)] ?? text) : text
  }

  #seeClasses(answer: Told): void {
    if (answer.kind === 'label') this.#classesSeen.add(this.#named(answer.label))
    else if (answer.kind === 'probabilities')
      for (const name of answer.byClass.keys()) this.#classesSeen.add(this.#named(name))
  }

  /** The candidate's labels in their order, then what else is seen. At least two, so that one class alone is no special case. */
  #classes(): string[] {
    const known = this.#known ?? []
    const others = [...this.#classesSeen].filter((name) => !known.includes(name)).sort(byNumberThenText)
    const classes = [...known, ...others]
    return classes.length === 1 ? [...classes, '(no other class)'] : classes
  }

  async #classified(
    answers: readonly Told[],
    truth: Int32Array,
    at: ReadonlyMap<string, number>,
    positive: number,
  ): Promise<Predictions> {
    const classes = at.size
    const hasAll = answers.every(({ kind }) => kind === 'probabilities')
    const probabilities = hasAll ? new Float64Array(answers.length * classes) : undefined
    const predicted = new Int32Array(answers.length)
    const { threshold } = this.dataset.settings
    for (let i = 0; i < answers.length; i++) {
      if (i % TURN_ROWS === 0) await new Promise<void>((resolve) => setImmediate(resolve))
      const answer = answers[i]!
      if (answer.kind === 'label') predicted[i] = at.get(this.#named(answer.label))!
      if (answer.kind !== 'probabilities') continue
      let best = 0
      let most = Number.NEGATIVE_INFINITY
      for (const [name, p] of answer.byClass) {
        const index = at.get(this.#named(name))!
        if (probabilities) probabilities[i * classes + index] = p
        if (p > most) {
          most = p
          best = index
        }
      }
      if (classes === 2 && probabilities) best = probabilities[i * 2 + positive]! >= threshold ? positive : 1 - positive
      predicted[i] = best
    }
    return { kind: 'classification', classes, positive, truth, predicted, probabilities }
  }
}

function told(answer: Answer): Told | undefined {
  return answer.kind === 'refused' || answer.kind === 'not-finite' ? undefined : answer
}

function indexOf(index: Map<string, number>, value: RowValue): number {
  let text = value === null ? '(none)' : String(value)
  if (!index.has(text) && index.size >= MAX_VALUES) text = REST
  let found = index.get(text)
  if (found === undefined) {
    found = index.size
    index.set(text, found)
  }
  return found
}

function byNumberThenText(a: string, b: string): number {
  const [x, y] = [Number(a), Number(b)]
  if (Number.isFinite(x) && Number.isFinite(y)) return x - y
  return a < b ? -1 : 1
}
