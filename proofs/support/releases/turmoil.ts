// What befalls a release: a schedule drawn from the seed, and its play. Of each node, and of PostgreSQL, one thing happens at a time.
import { setTimeout as pause } from 'node:timers/promises'
import type { Random } from '../../../dist/core/index.js'
import type { Answer, Cluster, Node } from './cluster.js'
import type { Observer } from './observer.js'
import type { Traffic } from './traffic.js'

type Act = 'pause' | 'resume' | 'promote' | 'promote all' | 'abort' | 'rollback'

export type Mishap = { readonly atMs: number } & (
  | { readonly kind: 'kill' | 'freeze'; readonly node: number; readonly isLeader: boolean; readonly lastsMs: number }
  | { readonly kind: 'kill postgres' | 'freeze postgres'; readonly lastsMs: number }
  | { readonly kind: 'turn bad' }
  | { readonly kind: 'people'; readonly acts: readonly { readonly act: Act; readonly node: number }[] }
)

/** What somebody asked for, under a name of their own. */
export interface Asked {
  readonly name: string
  readonly act: Act
  readonly answer: Answer | undefined
}

/** How often each befalls, of `SUM`. */
const KINDS = [
  ['kill', 4],
  ['freeze', 4],
  ['freeze postgres', 2],
  ['kill postgres', 2],
  ['people', 5],
  ['turn bad', 1],
] as const
const ACTS = [
  ['pause', 4],
  ['resume', 4],
  ['promote', 4],
  ['promote all', 1],
  ['abort', 1],
  ['rollback', 1],
] as const
const PEOPLE = 3

export function drawMishaps(random: Random, nodes: number): Mishap[] {
  const mishaps: Mishap[] = []
  const count = 4 + Math.floor(random.next() * 8)
  for (let i = 0; i < count; i++) {
    const atMs = Math.floor(random.next() * 9_000)
    const kind = draw(random, KINDS)
    const node = Math.floor(random.next() * nodes)
    if (kind === 'turn bad') mishaps.push({ atMs, kind })
    else if (kind === 'people') {
      const acts = Array.from({ length: 1 + Math.floor(random.next() * PEOPLE) }, () => ({
        act: draw(random, ACTS),
        node: Math.floor(random.next() * nodes),
      }))
      mishaps.push({ atMs, kind, acts })
    } else if (kind === 'kill' || kind === 'freeze') {
      // Leases of candidates and of the leader last three seconds, transactions of somebody who stands still five.
      const lastsMs = Math.floor(kind === 'kill' ? random.next() * 3_000 : 200 + random.next() * 7_000)
      mishaps.push({ atMs, kind, node, isLeader: random.next() < 0.5, lastsMs })
    } else mishaps.push({ atMs, kind, lastsMs: Math.floor(200 + random.next() * 6_000) })
  }
  return mishaps.sort((one, other) => one.atMs - other.atMs)
}

export interface Stage {
  readonly cluster: Cluster
  readonly observer: Observer
  readonly traffic: Traffic
  readonly release: { readonly id: string; readonly to: number }
  /** Makes names of people that nobody had. */
  readonly nameOf: () => string
}

/** Resolves when everything has happened and all servers run again. */
export async function play(mishaps: readonly Mishap[], stage: Stage): Promise<Asked[]> {
  const { cluster, traffic, release } = stage
  const asked: Promise<Asked>[] = []
  const busy = new Map<Node | undefined, Promise<void>>()
  const startedMs = performance.now()
  /** One after the other, of each node and of PostgreSQL. */
  const happen = (whom: Node | undefined, what: () => Promise<void>) =>
    busy.set(whom, (busy.get(whom) ?? Promise.resolve()).then(what))
  for (const mishap of mishaps) {
    await pause(Math.max(0, mishap.atMs - (performance.now() - startedMs)))
    if (mishap.kind === 'turn bad') traffic.bad = release.to
    else if (mishap.kind === 'people') asked.push(...mishap.acts.map(({ act, node }) => ask(stage, act, node)))
    else if (mishap.kind === 'kill' || mishap.kind === 'freeze') {
      const { kind, lastsMs } = mishap
      const node = victim(mishap, stage)
      happen(node, () => (kind === 'kill' ? killed(node, lastsMs) : frozen(node, lastsMs)))
    } else {
      const { kind, lastsMs } = mishap
      happen(undefined, () =>
        kind === 'kill postgres' ? postgresKilled(cluster, lastsMs) : postgresFrozen(cluster, lastsMs),
      )
    }
  }
  await Promise.all(busy.values())
  return Promise.all(asked)
}

export async function ask({ cluster, release, nameOf }: Stage, act: Act, at: number): Promise<Asked> {
  const name = nameOf()
  const node = cluster.nodes[at]!
  const [verb, all] = act.split(' ')
  const body = all === undefined ? {} : { all: true }
  const answer = node.isDown ? undefined : await node.send('POST', `/api/v1/releases/${release.id}/${verb}`, body, name)
  return { name, act, answer }
}

function victim({ node, isLeader }: { node: number; isLeader: boolean }, { cluster, observer }: Stage): Node {
  const leader = isLeader ? cluster.nodes.find(({ id }) => id === observer.leader) : undefined
  return leader ?? cluster.nodes[node]!
}

async function killed(node: Node, lastsMs: number): Promise<void> {
  await node.kill()
  await pause(lastsMs)
  await node.start()
}

async function frozen(node: Node, lastsMs: number): Promise<void> {
  node.freeze()
  await pause(lastsMs)
  node.thaw()
}

async function postgresKilled(cluster: Cluster, lastsMs: number): Promise<void> {
  await cluster.killPostgres()
  await pause(lastsMs)
  await cluster.restartPostgres()
}

async function postgresFrozen(cluster: Cluster, lastsMs: number): Promise<void> {
  cluster.freezePostgres()
  await pause(lastsMs)
  cluster.thawPostgres()
}

function draw<T>(random: Random, among: readonly (readonly [T, number])[]): T {
  let left = random.next() * among.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [one, weight] of among) {
    left -= weight
    if (left < 0) return one
  }
  return among[0]![0]
}
