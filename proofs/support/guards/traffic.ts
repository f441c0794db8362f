// Traffic that breaks tests which assume too much: units with heavy-tailed numbers of requests, some of them always broken, which retry
// what failed; load that follows the day; a base rate that drifts; bursts in which a third of everything fails; latencies and costs of
// infinite mean, slow for an hour at a time, and slower from morning to evening.
import { type Random, seededRandom } from '../../../src/core/index.js'

export const DAY_MINUTES = 1440

export interface TrafficOptions {
  readonly units: number
  /** How long it lasts; units arrive over all of it, at a rate that follows the hour. */
  readonly minutes: number
  /** Share of the candidate by minute, never falling. The control has as much; beside 1 it has nothing, and only `gross` is watched. */
  readonly shareAt: (minute: number) => number
  /** Probability that a request fails, by minute; before bursts. */
  readonly rate: { readonly champion: number; readonly candidate: number }
  readonly hasBursts: boolean
  /** Of a unit, its retries apart. */
  readonly maxRequests: number
  /** Latency, cost, outputs and conversions too: under the candidate as large as it may be and be no worse. */
  readonly hasRest: boolean
  /** Told of every request, unit by unit. */
  readonly onRequest?: (request: TrafficRequest) => void
}

export interface TrafficRequest {
  readonly unit: number
  readonly minute: number
  readonly arm: number
  readonly isFailed: boolean
  /** Of what was answered, where there is a rest: logarithms of latency and cost (slack aside), the output, and when the unit converted. */
  readonly latency: number
  readonly cost: number
  readonly output: number
  readonly convertedMinute: number | undefined
}

export const CANDIDATE = 0
export const CONTROL = 1
export const BASELINE = 2

/** Kinds of events: those below `UNIT` are guards'. */
export const KINDS = [
  'errors',
  'latency-p50',
  'latency-p95',
  'latency-p99',
  'outputs-low',
  'outputs-middle',
  'outputs-high',
  'outcome:converted',
  'cost',
  'gross',
] as const
const COST = KINDS.indexOf('cost')
const GROSS = KINDS.indexOf('gross')
/** The first request of a unit to the candidate. */
export const UNIT = KINDS.length

export interface Traffic {
  /** By time: kind, arm, the window's number from 1 (0: the first of the release), minute. */
  readonly kind: Uint8Array
  readonly arm: Uint8Array
  readonly window: Uint8Array
  readonly minute: Float64Array
  /** Requests and failed ones of candidate and control by minute, for rules that count requests. */
  readonly requests: readonly [Uint32Array, Uint32Array]
  readonly failed: readonly [Uint32Array, Uint32Array]
}

/** Variance is infinite. */
const PARETO = 1.5
const BROKEN_SHARE = 0.003
const RETRIES = 3
/** A request that failed mostly fails again. */
const RETRY_FAILS = 0.5
const BURSTS = 3
const BURST_MINUTES = 5
const BURST_RATE = 0.3
const WINDOW_MINUTES = 60
/**
 * Logarithms of the quantiles of a log-normal latency of spread 1 (0.6 of the unit, 0.8 of the request). The candidate is slower by all of
 * its slack, so that both arms pass their limits alike: the null at its edge.
 */
export const SLOW = [0, 1.6449, 2.3263] as const
export const DEAR = 1.6449
export const DECILE = 1.2816
/** Some requests take a time with a tail of Pareto at index 1. */
const TAIL_SHARE = 0.03
/** Slow periods: what a minute keeps of the one before, and its spread; then how much slower the evening is than the morning. */
const SLOW_KEPT = 0.98
const SLOW_SPREAD = 0.15
const SLOWER_BY_EVENING = Math.log(2)

export function makeTraffic(random: Random, options: TrafficOptions): Traffic {
  const { units, minutes, shareAt, rate, hasBursts, hasRest, maxRequests, onRequest } = options
  const requests: [Uint32Array, Uint32Array] = [new Uint32Array(minutes), new Uint32Array(minutes)]
  const failed: [Uint32Array, Uint32Array] = [new Uint32Array(minutes), new Uint32Array(minutes)]
  const drift = driftOf(random, minutes, hasBursts)
  const slowness = slownessOf(random, hasRest ? minutes : 0)
  const kind: number[] = []
  const arm: number[] = []
  const window: number[] = []
  const minute: number[] = []
  const push = (what: number, who: number, which: number, when: number) => {
    kind.push(what)
    arm.push(who)
    window.push(which)
    minute.push(when)
  }
  const [candidateRequests, controlRequests] = requests
  const [candidateFailed, controlFailed] = failed
  // Most units of the champion ask once and get their answer: they are no event, so they need no time.
  const isSimple = maxRequests === 1 && !hasBursts && !hasRest
  const slowOnce = [false, false, false]
  const slowWindow = [0, 0, 0]
  for (let unit = 0; unit < units; unit++) {
    const point = random.next()
    const isBroken = random.next() < BROKEN_SHARE
    const isBaseline = point >= shareAt(0) && point < 1 - shareAt(0)
    if (isSimple && isBaseline && !isBroken && random.next() >= rate.champion) continue
    const mustFail = isSimple && isBaseline
    const own = hasRest ? 0.6 * normal(random) : 0
    const taste = hasRest ? normal(random) : 0
    let left = maxRequests === 1 ? 1 : Math.min(maxRequests, Math.floor((1 - random.next()) ** (-1 / PARETO)))
    let now = arrival(random, minutes)
    const gap = Math.min(10, (minutes - now) / left)
    let wasCandidate = false
    let wasCompared = false
    // Time only goes on, so the last window of each kind is all that has to be known.
    let failedOnce = false
    let failedWindow = 0
    let grossWindow = 0
    let wasDear = false
    for (let q = 0; q < 3; q++) {
      slowOnce[q] = false
      slowWindow[q] = 0
    }
    let lastWindow = -1
    let tries = 0
    while (left > 0 && now < minutes) {
      const share = shareAt(now)
      const who = point < share ? CANDIDATE : point >= 1 - share ? CONTROL : BASELINE
      const at = Math.floor(now)
      const in_ = Math.floor(now / WINDOW_MINUTES) + 1
      const base = (who === CANDIDATE ? rate.candidate : rate.champion) * drift[at]!
      const burst = drift[minutes + at]!
      const probability = isBroken ? 1 : Math.max(base, burst, tries > 0 ? RETRY_FAILS : 0)
      const isFailed = mustFail || random.next() < probability
      if (who === CANDIDATE) {
        candidateRequests[at]!++
        if (isFailed) candidateFailed[at]!++
      } else if (who === CONTROL) {
        controlRequests[at]!++
        if (isFailed) controlFailed[at]!++
      }
      if (who === CANDIDATE && !wasCandidate) {
        wasCandidate = true
        push(UNIT, who, 0, now)
      }
      let latency = 0
      let cost = 0
      let convertedMinute: number | undefined
      if (share === 1) {
        if (grossWindow !== in_) push(GROSS, isFailed ? CANDIDATE : CONTROL, in_, now)
        grossWindow = in_
      } else if (isFailed) {
        if (!failedOnce) push(0, who, 0, now)
        if (failedWindow !== in_) push(0, who, in_, now)
        failedOnce = true
        failedWindow = in_
      } else if (hasRest && who !== BASELINE) {
        const isFirst = in_ !== lastWindow
        lastWindow = in_
        latency = own + 0.8 * normal(random) + slowness[at]! + tail(random)
        cost = 0.6 * taste + 0.8 * normal(random) + tail(random)
        if (cost > DEAR && !wasDear) {
          wasDear = true
          push(COST, who, 0, now)
        }
        for (let q = 0; q < 3; q++) {
          // The median is looked at at a unit's first call in the window, rarer quantiles at every call.
          if (latency <= SLOW[q]! || (q === 0 && !isFirst)) continue
          if (!slowOnce[q]) push(1 + q, who, 0, now)
          if (slowWindow[q] !== in_) push(1 + q, who, in_, now)
          slowOnce[q] = true
          slowWindow[q] = in_
        }
        if (!wasCompared) {
          wasCompared = true
          push(taste < -DECILE ? 4 : taste > DECILE ? 6 : 5, who, 0, now)
          if (random.next() < 0.1) {
            convertedMinute = Math.max(now, Math.min(minutes - 1, now + 60 * random.next()))
            push(7, who, 0, convertedMinute)
          }
        }
      }
      onRequest?.({ unit, minute: now, arm: who, isFailed, latency, cost, output: taste, convertedMinute })
      if (isFailed && tries < RETRIES) {
        tries++
        now += 1 / 60
        continue
      }
      tries = 0
      left--
      if (left > 0) now += -Math.log(1 - random.next()) * gap
    }
  }
  const order = Uint32Array.from(minute.keys()).sort((a, b) => minute[a]! - minute[b]!)
  return {
    kind: Uint8Array.from(order, (i) => kind[i]!),
    arm: Uint8Array.from(order, (i) => arm[i]!),
    window: Uint8Array.from(order, (i) => window[i]!),
    minute: Float64Array.from(order, (i) => minute[i]!),
    requests,
    failed,
  }
}

/** Factors of the base rate by minute (a random walk within a half and the double), then the rate that bursts force. */
function driftOf(random: Random, minutes: number, hasBursts: boolean): Float64Array {
  const drift = new Float64Array(2 * minutes)
  let log = 0
  for (let at = 0; at < minutes; at++) {
    if (hasBursts) log = Math.max(-0.7, Math.min(0.7, log + 0.02 * normal(random)))
    drift[at] = Math.exp(log)
  }
  for (let burst = 0; hasBursts && burst < BURSTS; burst++) {
    const from = Math.floor(random.next() * minutes)
    drift.fill(BURST_RATE, minutes + from, Math.min(2 * minutes, minutes + from + BURST_MINUTES))
  }
  return drift
}

/** What is added to every latency by minute: slow periods that last, and a day that gets slower. */
function slownessOf(random: Random, minutes: number): Float64Array {
  const slowness = new Float64Array(minutes)
  let period = 0
  for (let at = 0; at < minutes; at++) {
    period = SLOW_KEPT * period + SLOW_SPREAD * normal(random)
    slowness[at] = period + (SLOWER_BY_EVENING * at) / minutes
  }
  return slowness
}

function tail(random: Random): number {
  return random.next() < TAIL_SHARE ? -Math.log(1 - random.next()) : 0
}

/** By minute of the day, as a share of the busiest. */
const LOAD = Float64Array.from(
  { length: DAY_MINUTES },
  (_, minute) => (1 + 0.8 * Math.sin((2 * Math.PI * minute) / DAY_MINUTES)) / 1.8,
)

/** At the busiest hour nine times as much comes as at the quietest; short traffic has no such hours. */
function arrival(random: Random, minutes: number): number {
  for (;;) {
    const at = random.next() * minutes
    if (minutes < DAY_MINUTES || random.next() < LOAD[Math.floor(at)]!) return at
  }
}

/** Drawn from a table, as a day needs a hundred thousand. */
const NORMALS = new Float64Array(2 ** 16)
const generator = seededRandom(1)
for (let i = 0; i < NORMALS.length; i++)
  NORMALS[i] = Math.sqrt(-2 * Math.log(1 - generator.next())) * Math.cos(2 * Math.PI * generator.next())

function normal(random: Random): number {
  return NORMALS[random.uint32() >>> 16]!
}
