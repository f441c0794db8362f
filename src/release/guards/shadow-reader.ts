// Pairs each copied prediction with the call of its copy, which is a record of its own that comes later. Only a unit's first pair counts:
// the answers to one busy unit resemble each other, and bounds would claim more than is known.
import type { StoredLateCall, StoredPrediction, StoredRecord, StoredTensor } from '../../log/index.js'
import { DDSketch } from '../../stats/index.js'
import { createFailureTest } from './call-errors.js'
import { outputValue } from './outputs.js'
import type { GuardReaderOptions } from './reader.js'
import { SeenUnits } from './seen-units.js'
import type { PairedTimes, ShadowState } from './shadow-types.js'

export interface ShadowReader {
  read(records: readonly StoredRecord[]): void
  /** All pairs since the reader was made: to be stored per node, and added up by `compareShadow`. */
  state(): ShadowState
}

/** Copies end seconds after their reply, so few predictions wait for theirs. */
const MAX_WAITING = 50_000
const UNITS_REMEMBERED = 2 ** 17
const SKETCH_ACCURACY = 0.01
/** Elements of an output that are compared. */
const MAX_ELEMENTS = 1024

type ShadowReaderOptions = Pick<GuardReaderOptions, 'release' | 'settings'>

/** What was kept of the champion's answer. */
interface Waiting {
  readonly unit: string
  readonly isFailed: boolean
  /** Undefined: the cache answered, or no call did. */
  readonly latencyMs: number | undefined
  readonly runMs: number
  readonly tensors: readonly StoredTensor[] | undefined
  readonly value: number | undefined
}

export function createShadowReader(options: ShadowReaderOptions): ShadowReader {
  return new Reader(options)
}

class Times {
  private pairs = 0
  private sum = 0
  private sumOfSquares = 0
  private readonly champion = new DDSketch(SKETCH_ACCURACY)
  private readonly candidate = new DDSketch(SKETCH_ACCURACY)

  add(championMs: number, candidateMs: number): void {
    this.champion.add(championMs)
    this.candidate.add(candidateMs)
    if (!(championMs > 0 && candidateMs > 0)) return
    const log = Math.log(candidateMs / championMs)
    this.pairs++
    this.sum += log
    this.sumOfSquares += log * log
  }

  state(): PairedTimes {
    const { pairs, sum, sumOfSquares } = this
    return { pairs, sum, sumOfSquares, champion: this.champion.counts(), candidate: this.candidate.counts() }
  }
}

class Reader implements ShadowReader {
  private readonly isFailure = createFailureTest()
  private readonly waiting = new Map<string, Waiting>()
  private readonly seen = new SeenUnits(UNITS_REMEMBERED)
  private readonly latency = new Times()
  private readonly runTime = new Times()
  private readonly championValues = new DDSketch(SKETCH_ACCURACY)
  private readonly candidateValues = new DDSketch(SKETCH_ACCURACY)
  private pairs = 0
  private readonly failed = { both: 0, champion: 0, candidate: 0 }
  private readonly answers = {
    compared: 0,
    differing: 0,
    mismatched: 0,
    invalid: 0,
    maxAbsolute: 0,
    maxRelative: 0,
    sumAbsolute: 0,
    labels: 0,
    labelsAgreeing: 0,
  }

  constructor(private readonly options: ShadowReaderOptions) {}

  read(records: readonly StoredRecord[]): void {
    const { endpoint } = this.options.release
    for (const record of records) {
      if (record.kind === 'prediction' && record.endpoint === endpoint) this.prediction(record)
      else if (record.kind === 'call' && record.endpoint === endpoint) this.copy(record)
    }
  }

  state(): ShadowState {
    const { pairs, failed, answers, latency, runTime } = this
    return {
      pairs,
      failed: { ...failed },
      answers: { ...answers },
      values: { champion: this.championValues.counts(), candidate: this.candidateValues.counts() },
      latency: latency.state(),
      runTime: runTime.state(),
    }
  }

  private prediction(record: StoredPrediction): void {
    if (record.flags.includes('pinned')) return
    if (!record.route.some(({ arm }) => arm === 'shadow')) return
    const { model, from } = this.options.release
    const { calls } = record
    const index = calls.findLastIndex((call) => call.version === from && call.model === model && call.role !== 'shadow')
    const call = calls[index]
    if (call === undefined) return
    if (this.waiting.size >= MAX_WAITING) this.waiting.delete(this.waiting.keys().next().value!)
    const payload = record.payload ?? undefined
    const output = payload && outputValue(payload, index, this.options.settings.outputs.output)
    this.waiting.set(record.id, {
      unit: record.unit ?? record.id,
      isFailed: this.isFailure(call.status),
      latencyMs: call.status === 'ok' && call.cached === undefined ? call.latencyMs : undefined,
      runMs: call.latencyMs - call.queueMs,
      tensors: call.status === 'ok' ? payload?.outputs.find((one) => one.call === index)?.tensors : undefined,
      value: output?.kind === 'number' ? output.value : undefined,
    })
  }

  private copy({ call, prediction, payload }: StoredLateCall): void {
    const { model, to } = this.options.release
    if (call.role !== 'shadow' || call.model !== model || call.version !== to) return
    const champion = this.waiting.get(prediction)
    if (champion === undefined) return
    this.waiting.delete(prediction)
    // A copy that was refused for lack of room, or whose caller was wrong, says nothing of the candidate.
    const isFailed = this.isFailure(call.status)
    if (!isFailed && call.status !== 'ok') return
    if (!this.seen.add(champion.unit)) return
    this.pairs++
    if (isFailed && champion.isFailed) this.failed.both++
    else if (isFailed) this.failed.candidate++
    else if (champion.isFailed) this.failed.champion++
    if (isFailed) return
    if (champion.latencyMs !== undefined) {
      this.latency.add(champion.latencyMs, call.latencyMs)
      this.runTime.add(champion.runMs, call.latencyMs - call.queueMs)
    }
    const tensors = payload?.outputs[0]?.tensors
    if (tensors === undefined || champion.tensors === undefined) return
    const value = outputValue(payload!, payload!.outputs[0]!.call, this.options.settings.outputs.output)
    if (value?.kind === 'number' && champion.value !== undefined) {
      this.championValues.add(champion.value)
      this.candidateValues.add(value.value)
    }
    this.compare(champion.tensors, tensors)
  }

  private compare(champion: readonly StoredTensor[], candidate: readonly StoredTensor[]): void {
    const { answers } = this
    const { relative, absolute } = this.options.settings.shadow
    answers.compared++
    let differs = false
    let labels: 'none' | 'agree' | 'differ' = 'none'
    for (const a of champion) {
      const b = candidate.find(({ name }) => name === a.name)
      if (b === undefined || a.data.length !== b.data.length) {
        answers.mismatched++
        differs = true
        continue
      }
      for (let i = 0; i < Math.min(a.data.length, MAX_ELEMENTS); i++) {
        const x = a.data[i]
        const y = b.data[i]
        if (typeof x === 'number' && typeof y === 'number' && a.datatype.startsWith('FP')) {
          const difference = Math.abs(x - y)
          const scale = Math.max(Math.abs(x), Math.abs(y))
          if (difference > answers.maxAbsolute) answers.maxAbsolute = difference
          if (scale > 0 && difference / scale > answers.maxRelative) answers.maxRelative = difference / scale
          if (i === 0) answers.sumAbsolute += difference
          if (difference > absolute + relative * scale) differs = true
        } else if (a.datatype.startsWith('FP')) {
          // NaN and infinities are text; redacted elements are null under both.
          if (x !== y) {
            answers.invalid++
            differs = true
          }
        } else if (JSON.stringify(x) === JSON.stringify(y)) labels = labels === 'differ' ? labels : 'agree'
        else {
          labels = 'differ'
          differs = true
        }
      }
    }
    if (labels !== 'none') answers.labels++
    if (labels === 'agree') answers.labelsAgreeing++
    if (differs) answers.differing++
  }
}
