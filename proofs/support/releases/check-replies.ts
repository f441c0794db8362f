// Whether every reply may be what it is: the champion's at any time, the candidate's while its release runs and the node can know it.

import type { Course } from './check-decisions.js'
import type { Cluster } from './cluster.js'
import type { Reply } from './traffic.js'

export interface Round {
  readonly from: number
  readonly to: number
  /** Versions that were champions before: a node that starts from its copy while the store is away may not know better. */
  readonly formerChampions: ReadonlySet<number>
  readonly course: Course
  readonly startedMs: number
  /** In this round or the one before some version failed. */
  readonly turnedBad: boolean
  /** How late the client itself was at most. */
  readonly lagMs: number
}

const LEASE_MS = 3_000
/** From the candidate's answer to the client's look at its clock, on a machine that has much else to do. The client's own lag comes on top. */
const REPLY_SLACK_MS = 1_500

export function checkReplies(replies: readonly Reply[], round: Round, cluster: Cluster): string[] {
  const failures: string[] = []
  const { from, to, course, formerChampions } = round
  const { overMs, completedMs } = course
  const slackMs = REPLY_SLACK_MS + round.lagMs
  /** By node, start of the server and unit: when the first reply of the candidate arrived. */
  const had = new Map<string, number>()
  for (const reply of [...replies].sort((one, other) => one.sentMs - other.sentMs)) {
    const { status, y, x, sentMs, gotMs, node: index, run, unit, flags } = reply
    const node = cluster.nodes[index]!
    const fail = (problem: string) =>
      failures.push(
        `${problem}: node ${index}, start ${run}, ${unit}, x ${x}, sent at ${clock(sentMs)}, answered at ${clock(gotMs)} with y ${y} [${flags.join(' ')}], prediction ${reply.text}`,
      )
    if (status === 0) {
      const isDying = node.downs.some((down) => down.startMs <= gotMs + 50 && sentMs <= down.endMs)
      if (!isDying) fail('a connection broke though the server was alive')
      continue
    }
    if (status !== 200) {
      fail(`answered ${status}`)
      continue
    }
    if (y === 0) {
      // The spare answers when what was asked fails, while its circuit is open for that, and for a script whose time ran out while its
      // server stood still.
      const stoodStill = node.stops.some(({ startMs, endMs }) => startMs <= gotMs && sentMs <= endMs)
      if (x === 0 && !round.turnedBad && !stoodStill) fail('the spare answered though nothing failed')
      continue
    }
    if (y !== to) {
      if (y === from) checkSticky(reply, fail)
      else if (y === undefined || !formerChampions.has(y)) fail(`nobody serves version ${y}`)
      continue
    }
    if (gotMs < round.startedMs) fail('the candidate answered before its release began')
    if (completedMs === Number.POSITIVE_INFINITY || gotMs < completedMs) {
      const key = `${index} ${run} ${unit}`
      had.set(key, Math.min(had.get(key) ?? Number.POSITIVE_INFINITY, gotMs))
    }
    checkLease(reply, fail)
  }
  return failures

  function checkLease({ node: index, gotMs }: Reply, fail: (problem: string) => void): void {
    const wasCompleted = completedMs <= gotMs
    // Whoever followed the completion serves the version until it hears of its undoing.
    if (overMs + LEASE_MS + slackMs < gotMs && !wasCompleted)
      fail(`the candidate answered ${gotMs - overMs} ms after the end of its release`)
    if (wasCompleted) return
    // Whoever is woken looks at the clock first, so no slack is due.
    const woken = cluster.nodes[index]!.stops.find(
      ({ startMs, endMs }) => endMs <= gotMs && gotMs < endMs + slackMs && startMs < gotMs,
    )
    if (woken !== undefined && overMs + LEASE_MS < woken.endMs) fail('the candidate answered when its node was woken')
    for (const { startMs, endMs } of cluster.outages)
      if (startMs + LEASE_MS + slackMs < gotMs && gotMs < endMs)
        fail(`the candidate answered ${gotMs - startMs} ms after the store was gone`)
  }

  /** Who has had the candidate on a server keeps it there while the release runs, or is told why not. */
  function checkSticky({ node, run, unit, sentMs, gotMs, flags }: Reply, fail: (problem: string) => void): void {
    if (gotMs >= course.endedMs || gotMs >= completedMs || flags.includes('lease-expired')) return
    const sinceMs = had.get(`${node} ${run} ${unit}`)
    if (sinceMs !== undefined && sinceMs < sentMs)
      fail(`a unit went back to the old version ${sentMs - sinceMs} ms after it had the candidate`)
  }
}

function clock(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23)
}
