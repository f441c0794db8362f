// Predictions to every node all the time, by units that come again and again on any node. Every reply is kept.
import { setTimeout as pause } from 'node:timers/promises'
import type { Random } from '../../../dist/core/index.js'
import type { Node } from './cluster.js'

export interface Reply {
  readonly node: number
  /** Of the server that it was sent to: its start. */
  readonly run: number
  readonly unit: string
  /** What was asked; the version of this number fails for it. */
  readonly x: number
  readonly sentMs: number
  readonly gotMs: number
  /** 0: the connection broke. */
  readonly status: number
  /** Version that answered; 0: the spare, because the one that it was meant for failed. */
  readonly y: number | undefined
  readonly flags: readonly string[]
  /** Of the prediction; of one that failed, what was said. */
  readonly text: string
}

const LOOPS = 2
const UNITS = 300
/** Between two requests of one loop: the machine has other things to do. */
const REST_MS = 8

export class Traffic {
  /** The version that fails from now on; 0: none. */
  bad = 0
  replies: Reply[] = []
  readonly #random: Random
  readonly #loops: Promise<void>[]
  /** How late this process itself was at most, milliseconds, since this was set to 0. */
  lagMs = 0
  #isOver = false

  constructor(nodes: readonly Node[], random: Random) {
    this.#random = random
    this.#loops = nodes.flatMap((node) => Array.from({ length: LOOPS }, () => this.#loop(node)))
    this.#loops.push(this.#measureLag())
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#loops)
  }

  async #loop(node: Node): Promise<void> {
    while (!this.#isOver) {
      if (node.isDown) await pause(20)
      else {
        this.replies.push(await this.#ask(node, `unit-${Math.floor(this.#random.next() * UNITS)}`))
        await pause(REST_MS)
      }
    }
  }

  async #measureLag(): Promise<void> {
    while (!this.#isOver) {
      const sinceMs = performance.now()
      await pause(REST_MS)
      this.lagMs = Math.max(this.lagMs, performance.now() - sinceMs - REST_MS)
    }
  }

  async #ask(node: Node, unit: string): Promise<Reply> {
    const { index, run } = node
    const x = this.bad
    const sentMs = Date.now()
    const answer = await node.send('POST', '/api/v1/predict/shop', { inputs: { x }, unit })
    const base = { node: index, run, unit, x, sentMs, gotMs: Date.now() }
    if (answer === undefined) return { ...base, status: 0, y: undefined, flags: [], text: '' }
    const { status, text } = answer
    if (status !== 200) return { ...base, status, y: undefined, flags: [], text: text.slice(0, 300) }
    const { id, outputs, flags = [] } = JSON.parse(text) as { id: string; outputs: { y: number }; flags?: string[] }
    return { ...base, status, y: outputs.y, flags, text: id }
  }
}
