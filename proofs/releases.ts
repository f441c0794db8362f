// Releases on three servers and one PostgreSQL, while servers are killed and stand still, the store goes away, candidates turn bad and
// people step in, all at once. An observer of its own says whether what happened is what was promised.
import { setTimeout as pause } from 'node:timers/promises'
import { type Random, seededRandom } from '../dist/core/index.js'
import type { Release } from '../src/release/index.js'
import type { Proof } from './proof.js'
import { type Course, checkAsked, checkDecisions, checkRows } from './support/releases/check-decisions.js'
import { checkReplies } from './support/releases/check-replies.js'
import { Cluster, VERSIONS } from './support/releases/cluster.js'
import { Observer } from './support/releases/observer.js'
import { Traffic } from './support/releases/traffic.js'
import { ask, drawMishaps, play, type Stage } from './support/releases/turmoil.js'

const PLANS = [
  'canary:10%/2s,40%/2s,100%/1s',
  'canary:30%/1500ms,100%/2s',
  'shadow:1s,canary:20%/2s,100%',
  'canary:50%/6s,100%',
]
const LONGEST_MS = 120_000

export const proof: Proof = {
  claim:
    'Three servers on one PostgreSQL, killed, paused and cut off at random while people step in: releases move by legal steps in one history, time never goes back, no candidate outlives its lease, no unit goes back, and every request is answered.',
  fullCount: 20,
  unit: 'rounds',
  async run({ count, seed, progress }) {
    const random = seededRandom(seed)
    const cluster = await Cluster.start()
    const torture = new Torture(cluster, random, seed)
    try {
      for (let round = 1; round <= count && torture.failures.length < 10; round++) {
        await torture.round(round)
        progress(round)
      }
    } catch (error) {
      torture.failures.push(`seed ${seed}: ${error instanceof Error ? error.stack : error}`)
    } finally {
      await torture.close()
      await cluster.stop()
    }
    return { failures: torture.failures, figures: torture.figures() }
  },
}

class Torture {
  readonly failures: string[] = []
  readonly #observer: Observer
  readonly #traffic: Traffic
  readonly #counts = new Map<string, number>()
  readonly #champions = new Set<number>()
  #champion = 0
  #people = 0
  #isSetUp = false
  #turnedBadBefore = false

  constructor(
    private readonly cluster: Cluster,
    private readonly random: Random,
    private readonly seed: number,
  ) {
    this.#observer = new Observer(cluster.databaseUrl)
    this.#traffic = new Traffic(cluster.nodes, seededRandom(seed + 1))
  }

  async round(round: number): Promise<void> {
    const { cluster, random } = this
    const observer = this.#observer
    const traffic = this.#traffic
    if (!this.#isSetUp) await this.#setUp()
    const from = this.#champion
    const others = VERSIONS.filter((version) => version !== from && !this.#champions.has(version))
    // Each version is a candidate for the first time, while there are such: what is left of an earlier release then shows.
    const pool = others.length > 0 ? others : VERSIONS.filter((version) => version !== from)
    const to = pool[Math.floor(random.next() * pool.length)]!
    if (others.length === 0) {
      this.#champions.clear()
      this.#champions.add(from)
    }
    const plan = PLANS[Math.floor(random.next() * PLANS.length)]!
    const mishaps = drawMishaps(random, cluster.nodes.length)
    const startedMs = Date.now()
    traffic.lagMs = 0
    const release = await this.#start(to, plan)
    const stage: Stage = { cluster, observer, traffic, release, nameOf: () => `person-${++this.#people}` }
    const asked = await play(mishaps, stage)
    for (const { kind } of mishaps) this.#count(kind)
    await this.#calm(stage)
    await observer.caughtUp()
    const course = checkDecisions(release.id, release.plan, observer.decisions)
    await this.#converged(release, course)
    // What a woken server still had to say has arrived.
    await pause(300)
    const turnedBad = mishaps.some(({ kind }) => kind === 'turn bad')
    const replies = traffic.replies
    traffic.replies = []
    const found = [
      ...course.failures,
      ...checkRows(release.id, observer.rows, observer.decisions),
      ...checkAsked(asked, observer.decisions),
      ...checkReplies(
        replies,
        {
          from,
          to,
          course,
          startedMs,
          turnedBad: turnedBad || this.#turnedBadBefore,
          lagMs: traffic.lagMs,
          formerChampions: this.#champions,
        },
        cluster,
      ),
      ...(await this.#oneHistory()),
      ...observer.failures.splice(0),
    ]
    this.#turnedBadBefore = turnedBad
    observer.rows.length = 0
    for (const span of [cluster.outages, ...cluster.nodes.flatMap(({ stops, downs }) => [stops, downs])])
      span.length = 0
    this.#count(`ended ${course.state}`)
    this.#count('replies', replies.length)
    this.#count('replies of candidates', replies.filter(({ y }) => y === to).length)
    this.#count('replies flagged lease-expired', replies.filter(({ flags }) => flags.includes('lease-expired')).length)
    if (found.length > 0) {
      const happened = mishaps.map((mishap) => JSON.stringify(mishap)).join('\n    ')
      this.failures.push(
        `seed ${this.seed}, round ${round}, release ${release.id} from ${from} to ${to} by ${plan}: ${found.length} faults\n  ${(await Promise.all(found.slice(0, 8).map((failure) => this.#explained(failure)))).join('\n  ')}\n    ${happened}`,
      )
    }
    if (course.state === 'completed') {
      this.#champion = to
      this.#champions.add(to)
    }
  }

  async close(): Promise<void> {
    // Requests to a server that stands still would be waited for.
    for (const node of this.cluster.nodes) await node.kill()
    await this.#traffic.stop()
    await this.#observer.stop()
  }

  figures(): Record<string, number | string> {
    const figures: Record<string, number | string> = {}
    for (const [what, count] of [...this.#counts].sort()) figures[what] = count
    figures['decisions'] = this.#observer.decisions.length
    figures['slowest start, ms'] = Math.round(Math.max(...this.cluster.nodes.map((node) => node.slowestStartMs)))
    return figures
  }

  #count(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by)
  }

  async #setUp(): Promise<void> {
    this.#isSetUp = true
    const [first] = this.cluster.nodes
    await until('the champion to be set', async () => {
      const answer = await first!.send('PUT', '/api/v1/models/rule/aliases/champion', { version: 1 })
      return answer?.status === 200
    })
    this.#champion = 1
    this.#champions.add(1)
    await this.#serves(1)
    this.#traffic.replies = []
  }

  async #start(to: number, plan: string): Promise<Release> {
    const at = Math.floor(this.random.next() * this.cluster.nodes.length)
    const answer = await this.cluster.nodes[at]!.send('POST', '/api/v1/releases', {
      ...{ endpoint: 'shop', model: 'rule', to, plan },
      minUnits: 10,
    })
    if (answer?.status !== 201) throw new Error(`a release could not start: ${answer?.text}`)
    return JSON.parse(answer.text) as Release
  }

  /** All is well again: the release comes to its end by itself, unless somebody had paused it. */
  async #calm(stage: Stage): Promise<void> {
    const { release, cluster, traffic } = stage
    const [first] = cluster.nodes
    await until(`release ${release.id} to end`, async () => {
      const { state } = await first!
        .get<Release>(`/api/v1/releases/${release.id}`)
        .then((status) => (status as never as { release: Release }).release)
      if (state === 'paused') await ask(stage, 'resume', 0)
      return state !== 'running' && state !== 'paused'
    })
    // A bad one that was completed meanwhile is taken back by the node that found it bad.
    if (traffic.bad !== 0) await pause(2_000)
    traffic.bad = 0
  }

  /** All nodes say and do what the store says. */
  async #converged({ id, from, to }: Release, { state }: Course): Promise<void> {
    for (const node of this.cluster.nodes)
      await until(`node ${node.index} to know that ${id} is ${state}`, async () => {
        const { release } = await node.get<{ release: Release }>(`/api/v1/releases/${id}`)
        return release.state === state
      })
    await this.#serves(state === 'completed' ? to : from)
  }

  async #serves(version: number): Promise<void> {
    for (const node of this.cluster.nodes)
      await until(`node ${node.index} to serve version ${version} to all`, async () => {
        for (let i = 0; i < 20; i++) {
          const answer = await node.send('POST', '/api/v1/predict/shop', { inputs: { x: 0 }, unit: `last-${i}` })
          const { outputs, flags } = JSON.parse(answer?.text ?? '{}') as { outputs?: { y: number }; flags?: string[] }
          if (outputs?.y !== version || (flags ?? []).length > 0) throw new Error(`it answers ${answer?.text}`)
        }
        return true
      })
  }

  /** What the log says of a prediction that should not be as it is. */
  async #explained(failure: string): Promise<string> {
    const [, node, id] = /: node (\d).* prediction (\S+)$/.exec(failure) ?? []
    if (id === undefined) return failure
    const { steps } = await this.cluster.nodes[Number(node)]!.get<{ steps?: string[] }>(
      `/api/v1/predictions/${id}`,
    ).catch(() => ({ steps: undefined }))
    return `${failure}: ${steps?.join(' ') ?? 'not in the log'}`
  }

  async #oneHistory(): Promise<string[]> {
    const last = this.#observer.decisions.at(-1)!
    const failures: string[] = []
    for (const node of this.cluster.nodes) {
      const chain = await node.get<{ ok: boolean; count: number; head: string }>('/api/v1/decisions/verify')
      if (!chain.ok || chain.count < last.number || (chain.count === last.number && chain.head !== last.hash))
        failures.push(
          `on node ${node.index} the chain is ${JSON.stringify(chain)}, and ${last.number} ${last.hash} was seen`,
        )
      const { decisions } = await node.get<{ decisions: { number: number; hash: string }[] }>(
        '/api/v1/decisions?limit=1000',
      )
      for (const { number, hash } of decisions) {
        const seen = this.#observer.decisions[number - 1]
        if (seen !== undefined && seen.hash !== hash) failures.push(`node ${node.index} has another decision ${number}`)
      }
    }
    return failures
  }
}

/** What is asked may fail meanwhile: the store may just be on its way back. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + LONGEST_MS
  let last: unknown
  while (performance.now() < untilMs) {
    try {
      if (await isSo()) return
    } catch (error) {
      last = error
    }
    await pause(100)
  }
  throw new Error(`waited ${LONGEST_MS} ms for ${what}${last === undefined ? '' : `; ${last}`}`)
}
