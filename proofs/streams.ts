// Stream = batch = brute force. A case is a random view over all aggregations, a random stream of one key (late, repeated, out of order, at
// the same moment, on the edges of hops) and a random way of taking it in: read at random moments, stored and parsed, evicted, and merged
// at a seam from what a batch and a stream hold. Every value read must be, bit for bit, what brute force computes of the same events.
import { seededRandom } from '../dist/core/index.js'
import { createWindowEngine } from '../dist/features/aggregate/engine.js'
import { bruteForce } from '../dist/features/aggregate/window-oracle.js'
import { type Played, play, randomCase, shrunk, type WindowCase } from '../test/support/window-streams.js'
import type { Proof } from './proof.js'

const MAX_FAILURES = 5
const PROGRESS_EVERY = 200

export const proof: Proof = {
  claim:
    'Windows fed by a stream, by a batch, or by both merged at a seam have exactly the values that brute force computes: every one, to the last bit.',
  fullCount: 100_000,
  unit: 'streams',
  async run({ count, seed, progress }) {
    const failures: string[] = []
    const figures = { streams: 0, events: 0, reads: 0, values: 0, merges: 0, 'round trips': 0, evictions: 0 }
    for (let number = 1; number <= count && failures.length < MAX_FAILURES; number++) {
      const one = randomCase(seededRandom(Math.imul(seed, 0x9e3779b1) + number))
      const { reads, values, problem } = played(one)
      figures.streams++
      figures.events += one.events.length
      figures.reads += reads
      figures.values += values
      for (const { kind } of one.steps) {
        if (kind === 'merge') figures.merges++
        else if (kind === 'store') figures['round trips']++
        else if (kind === 'evict') figures.evictions++
      }
      if (problem !== undefined) failures.push(`stream ${number} of seed ${seed}: ${problem}; ${smallest(one)}`)
      if (number % PROGRESS_EVERY === 0) {
        progress(number)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    return { failures, figures }
  },
}

/** An error is a broken promise too. */
function played(one: WindowCase): Played {
  try {
    return play(one, createWindowEngine(one.view), bruteForce)
  } catch (error) {
    return { reads: 0, values: 0, problem: String(error) }
  }
}

function smallest(failing: WindowCase): string {
  const { view, events, steps } = shrunk(failing, (one) => played(one).problem !== undefined)
  const { windowing, hopMs, stream, features } = view
  const told = {
    windowing,
    hopMs,
    latenessMs: stream?.lateness,
    features: features.map(({ column, spec, windowMs, where }) => ({
      column,
      spec,
      windowMs,
      where: where?.toString(),
    })),
    events,
    steps,
  }
  return JSON.stringify(told, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
}
