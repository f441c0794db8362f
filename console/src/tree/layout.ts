// Where the boxes of a route tree stand: leaves below each other on the right of what leads to them, each node in the middle of its
// arms. Pure geometry, in pixels.
import type { LiveArm, RouteArm, RouteView } from '../api/types.js'

export interface Box {
  /** `0.1.0`: the way from the root. */
  readonly id: string
  readonly node: RouteView
  readonly x: number
  readonly y: number
  /** That the arm to it took; null for the root. */
  readonly requests: number | null
}

export interface Edge {
  readonly id: string
  readonly parent: RouteView
  readonly arm: RouteArm
  /** From the right side of the parent to the left side of the arm. */
  readonly fromX: number
  readonly fromY: number
  readonly toX: number
  readonly toY: number
  readonly live: ArmLive
}

export interface ArmLive {
  /** Of the requests that came to the node, 0 to 1; null while there were none, or where records do not say. */
  readonly share: number | null
  readonly requests: number
  readonly errors: number
}

export interface TreeLayout {
  readonly width: number
  readonly height: number
  readonly boxes: readonly Box[]
  readonly edges: readonly Edge[]
}

export const BOX_WIDTH = 176
export const BOX_HEIGHT = 50
const ROW_GAP = 26
/** Holds the names and shares of arms. */
const COLUMN_GAP = 134
const MARGIN = 4

export function layoutTree(root: RouteView, arms: readonly LiveArm[]): TreeLayout {
  const boxes: Box[] = []
  const edges: Edge[] = []
  let nextY = MARGIN
  let width = 0

  function place(node: RouteView, id: string, depth: number, live: ArmLive | null): Box {
    const x = MARGIN + depth * (BOX_WIDTH + COLUMN_GAP)
    width = Math.max(width, x + BOX_WIDTH + MARGIN)
    const lives = node.arms.map(({ arm }) => armLive(node, arm, arms))
    const children = node.arms.map((arm, i) => place(arm.route, `${id}.${i}`, depth + 1, lives[i]!))
    let y = nextY
    if (children.length === 0) nextY += BOX_HEIGHT + ROW_GAP
    else y = (children[0]!.y + children.at(-1)!.y) / 2
    const box = { id, node, x, y, requests: live?.requests ?? null }
    boxes.push(box)
    for (const [i, child] of children.entries()) {
      const arm = node.arms[i]!
      edges.push({
        id: child.id,
        parent: node,
        arm,
        fromX: x + BOX_WIDTH,
        fromY: y + BOX_HEIGHT / 2,
        toX: child.x,
        toY: child.y + BOX_HEIGHT / 2,
        live: lives[i]!,
      })
    }
    return box
  }

  place(root, '0', 0, null)
  return { width, height: nextY - ROW_GAP + MARGIN, boxes, edges }
}

/**
 * What records say of an arm. A shadow's primary answers every request, also the copied ones; an ensemble records all of the arms
 * that answered as one, joined by plus signs. What a split's node had as arms before it was one (a release copies, then splits) is no part of its whole.
 */
export function armLive({ kind, name, arms }: RouteView, arm: string, all: readonly LiveArm[]): ArmLive {
  const isPart = (recorded: string): boolean => kind !== 'split' || arms.some((one) => one.arm === recorded)
  const ofNode = all.filter((counts) => counts.node === name && isPart(counts.arm))
  const takes = ({ arm: recorded }: LiveArm): boolean => {
    if (kind === 'shadow') return arm === 'primary' || recorded === arm
    if (kind === 'ensemble') return arm === 'meta' || recorded.split('+').includes(arm)
    return recorded === arm
  }
  const here = ofNode.filter(takes)
  const total = sum(ofNode, ({ requests }) => requests)
  const requests = sum(here, (counts) => counts.requests)
  // A copy's errors are nobody's answer: the prediction's error is the primary's.
  const isCopy = kind === 'shadow' && arm === 'shadow'
  const errors = isCopy ? 0 : sum(here, (counts) => counts.errors)
  return { share: total === 0 ? null : requests / total, requests, errors }
}

function sum(all: readonly LiveArm[], of: (arm: LiveArm) => number): number {
  return all.reduce((total, one) => total + of(one), 0)
}
