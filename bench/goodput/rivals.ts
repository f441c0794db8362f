// How the rivals are configured: once as their documentation advises, and once as the best that a sweep finds on a trace of the
// same family, model and load with another seed. The sweep is more than their documentation asks of anybody.
import { type BentoMLConfig, bentoMLWith } from './bentoml.js'
import { MAX_BATCH_ROWS, type ModelCost, runMs } from './model.js'
import { type CreateScheduler, replay } from './replay.js'
import type { Arrival } from './traces.js'
import { type TritonConfig, tritonWith } from './triton.js'

/** Above every limit of every trace, so that a request's own timeout is the one that counts. */
const DEFAULT_TIMEOUT_MS = 60_000
/** No smaller than the largest request, which Triton would refuse. */
const BATCH_SIZES = [8, 16, MAX_BATCH_ROWS]
/** Times a lone run. */
const MAX_LATENCIES = [3, 5, 8, 12, 20, 30]

/** `dynamic_batching {}` with a queue policy that lets each client's deadline count. */
export const tritonDocumented: CreateScheduler = tritonWith({
  maxBatchSize: MAX_BATCH_ROWS,
  defaultTimeoutMs: DEFAULT_TIMEOUT_MS,
  timeoutMs: ({ limitMs }) => limitMs,
})

/** `@bentoml.api(batchable=True)` with its default max_latency_ms. */
export const bentoMLDocumented: CreateScheduler = bentoMLWith({ maxBatchSize: MAX_BATCH_ROWS, maxLatencyMs: 60_000 })

export interface Choice {
  readonly create: CreateScheduler
  /** The configuration in words. */
  readonly what: string
}

export function tritonChoices(model: ModelCost): Choice[] {
  const loneMs = runMs(model, 1)
  const choices: Choice[] = []
  for (const maxBatchSize of BATCH_SIZES) {
    const add = (what: string, config: Omit<TritonConfig, 'maxBatchSize'>): void => {
      choices.push({ what: `max ${maxBatchSize}${what}`, create: tritonWith({ maxBatchSize, ...config }) })
    }
    // The timeout bounds the wait in the queue only; a client who knows that takes off what a run may take.
    const timeouts = [
      { what: ', no timeouts', takesMs: undefined },
      { what: ', timeout = limit', takesMs: 0 },
      { what: ', timeout = limit less a lone run', takesMs: loneMs },
      { what: ', timeout = limit less half a full run', takesMs: runMs(model, maxBatchSize) / 2 },
      { what: ', timeout = limit less a full run', takesMs: runMs(model, maxBatchSize) },
    ]
    for (const { what, takesMs } of timeouts) {
      const policy: Omit<TritonConfig, 'maxBatchSize'> =
        takesMs === undefined
          ? {}
          : { defaultTimeoutMs: DEFAULT_TIMEOUT_MS, timeoutMs: ({ limitMs }) => Math.max(0.001, limitMs - takesMs) }
      add(what, policy)
      add(`${what}, queue of ${2 * maxBatchSize}`, { ...policy, maxQueueSize: 2 * maxBatchSize })
      add(`${what}, delay of half a lone run`, { ...policy, maxQueueDelayMs: loneMs / 2 })
      const priority: TritonConfig['priority'] = ({ limitMs }) =>
        limitMs < 5 * loneMs ? 1 : limitMs < 12 * loneMs ? 2 : 3
      add(`${what}, priority by limit`, { ...policy, priority })
    }
  }
  return choices
}

export function bentoMLChoices(model: ModelCost): Choice[] {
  const choices: Choice[] = []
  for (const maxBatchSize of BATCH_SIZES) {
    for (const times of MAX_LATENCIES) {
      const config: BentoMLConfig = { maxBatchSize, maxLatencyMs: times * runMs(model, 1) }
      choices.push({ what: `max ${maxBatchSize}, max_latency = ${times} lone runs`, create: bentoMLWith(config) })
    }
  }
  return choices
}

/** The choice with the most requests answered in time. */
export async function best(
  choices: readonly Choice[],
  trace: readonly Arrival[],
  model: ModelCost,
  seed: number,
): Promise<Choice> {
  let most = -1
  let found = choices[0]!
  for (const choice of choices) {
    const { good } = await replay(trace, model, seed, choice.create)
    if (good <= most) continue
    most = good
    found = choice
  }
  return found
}
