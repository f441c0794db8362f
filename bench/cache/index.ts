import { parseArgs } from 'node:util'
import { describeMachine, type Figures, makeReport, publish } from '../support/report.js'
import { lru, optimal, tinyLfu } from './policies.js'
import { loop, recent, scanned, shifting, type Trace, zipf } from './traces.js'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, requests: { type: 'string', default: '500000' } },
})
const rounds = Number(values.rounds)
const requests = Number(values.requests)
const CAPACITIES = [500, 2000, 8000]

const TRACES: Readonly<Record<string, (seed: number) => Trace>> = {
  'Zipf 0.7': (seed) => zipf(0.7, requests, seed),
  'Zipf 0.9': (seed) => zipf(0.9, requests, seed),
  'Zipf 1.1': (seed) => zipf(1.1, requests, seed),
  'Zipf 0.9, popularity shifts': (seed) => shifting(0.9, requests / 5, requests, seed),
  'Zipf 0.9, half of it scans': (seed) => scanned(0.9, requests, seed),
  'recent keys only': (seed) => recent(requests, seed),
  'loop over 4,000 keys': () => loop(4000, requests),
}
const SUBJECTS = { LRU: lru, 'headrace (W-TinyLFU)': tinyLfu, 'optimal (knows the future)': optimal }

const machine = describeMachine()
const results: Record<string, Figures[]> = {}
for (let round = 1; round <= rounds; round++) {
  const traces = Object.entries(TRACES).map(([name, make]) => [name, make(round)] as const)
  for (const [subject, hitsOf] of Object.entries(SUBJECTS)) {
    const figures: Record<string, number> = {}
    for (const [name, trace] of traces)
      for (const capacity of CAPACITIES)
        figures[`${name}, ${capacity} entries: hitRatio`] = hitsOf(trace, capacity) / trace.length
    results[subject] ??= []
    results[subject].push(figures)
  }
}
publish(
  makeReport('cache', 'How many requests does the cache answer, against LRU and the best possible?', machine, results),
)
