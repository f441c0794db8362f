// How the rivals are configured: as the best that a sweep over what their documentation offers finds on a trace of the same
// family, model and load with another seed. Nobody sweeps Headrace.
import { type BentoMLConfig, bentoMLWith } from './bentoml.js'
import { LARGEST_BATCH_ROWS, MAX_BATCH_ROWS, type ModelCost, runMs } from './model.js'
import { type CreateScheduler, replay } from './replay.js'
import type { Arrival } from './traces.js'
import { type TritonConfig, tritonWith } from './triton.js'

/** Above every limit of every trace, so that a request's own timeout is the one that counts. */
const DEFAULT_TIMEOUT_MS = 60_000
/** No smaller than the largest request, which Triton would refuse. */
const BATCH_SIZES = [8, 16, MAX_BATCH_ROWS, LARGEST_BATCH_ROWS]
/** Times a lone run. */
const MAX_LATENCIES = [3, 5, 8, 12, 20, 30]

/** `dynamic_batching {}` with a queue policy that lets each client's deadline count: what one has before tuning. */
export const tritonDefault: CreateScheduler = tritonWith({
  maxBatchSize: MAX_BATCH_ROWS,
  defaultTimeoutMs: DEFAULT_TIMEOUT_MS,
  timeoutMs: ({ limitMs }) => limitMs,
})

/** `@bentoml.api(batchable=True)` with its default max_latency_ms. */
export const bentoMLDefault: CreateScheduler = bentoMLWith({ maxBatchSize: MAX_BATCH_ROWS, maxLatencyMs: 60_000 })

export interface Choice {
  readonly create: CreateScheduler
  /** The configuration in words. */
  readonly what: string
}

/**
 * `max_batch_size`, `max_queue_delay_microseconds`, `max_queue_size` and timeouts, as Triton's guide tells to find them by
 * measuring. The `timeout` of a request is its deadline, which is how the protocol describes it.
 */
export function tritonChoices(model: ModelCost): Choice[] {
  const choices: Choice[] = []
  for (const maxBatchSize of BATCH_SIZES) {
    addTriton(choices, model, { maxBatchSize }, `max ${maxBatchSize}, no timeouts`)
    addTriton(choices, model, withTimeouts(maxBatchSize, 0), `max ${maxBatchSize}, timeout = limit`)
  }
  return choices
}

/**
 * What an operator who has read the source can get out of Triton besides: it bounds the wait in the queue only, so clients
 * take the time of a run off their timeouts, and it has no deadlines, so clients turn theirs into three priorities.
 */
export function tritonExpertChoices(model: ModelCost): Choice[] {
  const choices = tritonChoices(model)
  const loneMs = runMs(model, 1)
  const priority: TritonConfig['priority'] = ({ limitMs }) => (limitMs < 5 * loneMs ? 1 : limitMs < 12 * loneMs ? 2 : 3)
  for (const maxBatchSize of BATCH_SIZES) {
    const fullMs = runMs(model, maxBatchSize)
    const margins = [
      { what: 'limit', marginMs: 0 },
      { what: 'limit - a lone run', marginMs: loneMs },
      { what: 'limit - half a full run', marginMs: fullMs / 2 },
      { what: 'limit - a full run', marginMs: fullMs },
    ]
    for (const { what, marginMs } of margins) {
      const config = withTimeouts(maxBatchSize, marginMs)
      const text = `max ${maxBatchSize}, timeout = ${what}`
      choices.push({ what: `${text}, 3 priorities`, create: tritonWith({ ...config, priority }) })
      if (marginMs > 0) addTriton(choices, model, config, text)
    }
  }
  return choices
}

function withTimeouts(maxBatchSize: number, marginMs: number): TritonConfig {
  // 1 µs is the shortest timeout: run at once or not at all.
  const timeoutMs: TritonConfig['timeoutMs'] = ({ limitMs }) => Math.max(0.001, limitMs - marginMs)
  return { maxBatchSize, defaultTimeoutMs: DEFAULT_TIMEOUT_MS, timeoutMs }
}

function addTriton(choices: Choice[], model: ModelCost, config: TritonConfig, what: string): void {
  const delayMs = runMs(model, 1) / 2
  const queued = 2 * config.maxBatchSize
  choices.push({ what, create: tritonWith(config) })
  choices.push({ what: `${what}, queue of ${queued}`, create: tritonWith({ ...config, maxQueueSize: queued }) })
  choices.push({
    what: `${what}, delay of half a lone run`,
    create: tritonWith({ ...config, maxQueueDelayMs: delayMs }),
  })
}

/** Every pair of `max_batch_size` and `max_latency_ms` that could make sense. */
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
