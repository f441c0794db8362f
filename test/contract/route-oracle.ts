// What a route should do, said a second time and plainly: a function per node, promises and a clock of its own, no state machine. Slow,
// and nothing in it is shared with the interpreter but the tree and the world.
import {
  armAt,
  assignmentPoint,
  type CallRole,
  type RouteNode,
  type VersionLeaf,
  version,
} from '../../src/route/index.js'
import type { TensorMap } from '../../src/tensor/index.js'
import { answerOf, Behaviours, type Case, CONSTANT, failureOf, LAST_KNOWN } from './route-world.js'

export interface Happened {
  /** `reply`, or the code of the failure. */
  readonly end: string
  readonly atMs: number
  readonly answer: TensorMap | undefined
  readonly isFallback: boolean
  /** By node: `arm probability`. */
  readonly choices: Readonly<Record<string, string>>
  /** `model role startedMs deadlineMs`, sorted; shadows apart. */
  readonly calls: readonly string[]
  readonly shadowCalls: readonly string[]
}

class Failure extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly retry = false,
    readonly comesBack = false,
  ) {
    super(code)
  }
}

interface Good {
  readonly answer: TensorMap
  readonly isFallback: boolean
  /** Where confidence is read. */
  readonly hasProbabilities: boolean
}

interface Scope {
  readonly untilMs: number
  readonly role: CallRole
  readonly isGuarded: boolean
  readonly draw: number
  readonly life: Life
}

/** A part of the tree that can be told that nobody wants it any more. */
class Life {
  isOver = false
  constructor(private readonly outer?: Life) {}
  get isDead(): boolean {
    return this.isOver || (this.outer?.isDead ?? false)
  }
}

class Timeline {
  nowMs = 0
  #events: { atMs: number; order: number; act: () => void }[] = []
  #order = 0

  at(atMs: number, act: () => void, isLast = false): void {
    this.#events.push({ atMs, order: this.#order++ + (isLast ? 1e9 : 0), act })
  }

  async play(isDone: () => boolean): Promise<void> {
    await settle()
    while (!isDone()) {
      this.#events.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
      const next = this.#events.shift()
      if (!next) throw new Error('nothing happens any more')
      this.nowMs = next.atMs
      next.act()
      await settle()
    }
  }
}

const settle = async () => {
  for (let i = 0; i < 200; i++) await Promise.resolve()
}

export async function expectedOf(given: Case): Promise<Happened> {
  const line = new Timeline()
  const behaviours = new Behaviours(given.behaviours)
  const calls: string[] = []
  const shadowCalls: string[] = []
  const choices = new Map<string, string>()
  const copies = new Map<string, { node: RouteNode; draw: number; sample: number }>()
  let isOver = false

  const choose = (node: string, arm: string | number, probability = 1) => {
    if (!isOver) choices.set(node, `${arm} ${probability.toFixed(9)}`)
  }

  function callVersion({ model }: VersionLeaf, scope: Scope): Promise<Good> {
    return new Promise((resolve, reject) => {
      const isShadow = scope.role === 'shadow'
      if (line.nowMs >= scope.untilMs) return reject(new Failure('ROUTE_DEADLINE_EXCEEDED', 504, true))
      if (scope.isGuarded && !isShadow && given.open.includes(model))
        return reject(new Failure('ROUTE_CIRCUIT_OPEN', 503, true, true))
      const text = `${model} ${scope.role} ${line.nowMs.toFixed(6)} ${scope.untilMs.toFixed(6)}`
      if (isShadow) shadowCalls.push(text)
      else calls.push(text)
      const { outcome, latencyMs, confidence } = behaviours.take(version(model, 1))
      let isEnded = false
      const end = (act: () => void) => () => {
        if (isEnded || scope.life.isDead) return
        isEnded = true
        act()
      }
      if (outcome !== 'hang')
        line.at(
          line.nowMs + latencyMs,
          end(() => {
            if (outcome === 'ok')
              resolve({ answer: answerOf(model, confidence), isFallback: false, hasProbabilities: true })
            else {
              const { code, status, retry, params } = failureOf(outcome)
              reject(new Failure(code, status, retry, 'retryAfterMs' in params))
            }
          }),
        )
      line.at(
        scope.untilMs,
        end(() => reject(new Failure('ROUTE_DEADLINE_EXCEEDED', 504, true))),
        true,
      )
    })
  }

  const isFinal = (error: Failure) =>
    error.status >= 400 && error.status < 500 && ![404, 408, 409, 429].includes(error.status)
  const expectedMs = (node: RouteNode): number | undefined => {
    switch (node.kind) {
      case 'version':
        return given.expected[node.model]
      case 'last-known':
      case 'constant':
        return 0
      case 'shadow':
        return expectedMs(node.primary)
      case 'match': {
        const hit = node.cases.find(({ when }) => when.priority!.includes(given.priority))
        return expectedMs(hit?.route ?? node.otherwise)
      }
      case 'fastest':
        return expectedMs(node.arms[0]!)
      case 'cheapest':
        return expectedMs([...node.arms].sort((a, b) => a.cost - b.cost)[0]!.route)
      default:
        return expectedMs(node.arms[0]!.route)
    }
  }
  const answersAtOnce = (node: RouteNode): boolean => {
    switch (node.kind) {
      case 'version':
        return false
      case 'last-known':
      case 'constant':
        return true
      case 'shadow':
        return answersAtOnce(node.primary)
      case 'match':
        return [...node.cases.map(({ route }) => route), node.otherwise].every(answersAtOnce)
      case 'fastest':
        return node.arms.some(answersAtOnce)
      case 'ensemble':
        return node.meta === undefined && node.arms.every(({ route }) => answersAtOnce(route))
      default:
        return (node.arms as readonly { route: RouteNode }[]).every(({ route }) => answersAtOnce(route))
    }
  }
  const isTooLate = (node: RouteNode, scope: Scope) => line.nowMs >= scope.untilMs && !answersAtOnce(node)
  const reserve = (leftMs: number) => Math.min(10, leftMs / 10)

  /** When arm `i` of arms tried in turn has to end. */
  function turnUntil(scope: Scope, arms: readonly { route: RouteNode; timeoutMs?: number }[], i: number): number {
    const ownMs = line.nowMs + (arms[i]!.timeoutMs ?? Number.POSITIVE_INFINITY)
    const leftMs = scope.untilMs - line.nowMs
    const later = arms.slice(i + 1)
    if (later.length === 0) return Math.min(ownMs, scope.untilMs)
    const share = leftMs / (later.length + 1)
    const kept = later
      .filter(({ route }) => !answersAtOnce(route))
      .map(({ route, timeoutMs }) =>
        Math.min(share, timeoutMs ?? (expectedMs(route) === undefined ? share : expectedMs(route)! * 3)),
      )
      .reduce((sum, ms) => sum + ms, reserve(leftMs))
    return Math.min(ownMs, line.nowMs + Math.max(leftMs - kept, reserve(leftMs)))
  }

  const attempt = (scope: Scope): CallRole => (scope.role === 'shadow' ? 'shadow' : 'attempt')
  const hedge = (scope: Scope): CallRole => (scope.role === 'shadow' ? 'shadow' : 'hedge')

  async function walk(node: RouteNode, scope: Scope): Promise<Good> {
    switch (node.kind) {
      case 'version':
        return callVersion(node, scope)
      case 'last-known':
        if (!given.hasLastKnown) throw new Failure('ROUTE_NO_LAST_KNOWN', 503, true)
        return { answer: LAST_KNOWN, isFallback: false, hasProbabilities: false }
      case 'constant':
        return { answer: CONSTANT, isFallback: false, hasProbabilities: false }
      case 'split': {
        const weights = node.arms.map(({ weight }) => weight)
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const sticky = node.by === 'unit' && given.unit !== undefined
        const i = armAt(sticky ? assignmentPoint(node.salt, given.unit!) : scope.draw, weights)
        choose(node.name, node.arms[i]!.name, weights[i]! / total)
        const below = weights.slice(0, i).reduce((sum, weight) => sum + weight / total, 0)
        const rest = Math.min(Math.max((scope.draw - below) / (weights[i]! / total), 0), 1 - Number.EPSILON)
        return walk(node.arms[i]!.route, sticky ? scope : { ...scope, draw: rest })
      }
      case 'match': {
        const hit = node.cases.find(({ when }) => when.priority!.includes(given.priority))
        choose(node.name, hit?.name ?? 'otherwise')
        return walk(hit?.route ?? node.otherwise, scope)
      }
      case 'fallback': {
        let reason: Failure | undefined
        for (const [i, arm] of node.arms.entries()) {
          if (i > 0 && isTooLate(arm.route, scope)) continue
          choose(node.name, i)
          const untilMs = turnUntil(scope, node.arms, i)
          for (let tries = 0; ; tries++) {
            try {
              const role = i === 0 && tries === 0 ? scope.role : attempt(scope)
              const isGuarded = i < node.arms.length - 1 || scope.isGuarded
              const good = await walk(arm.route, { ...scope, untilMs, role, isGuarded })
              return i === 0 ? good : { ...good, isFallback: true }
            } catch (thrown) {
              const error = thrown as Failure
              if (isFinal(error)) throw error
              if (reason === undefined || reason.code === 'ROUTE_CIRCUIT_OPEN') reason = error
              const again = error.retry && !error.comesBack && tries < (arm.retries ?? 0) && line.nowMs < untilMs
              if (!again || !given.hasRetries || scope.role === 'shadow') break
            }
          }
        }
        throw reason!
      }
      case 'cascade': {
        let unsure: Good | undefined
        let reason: Failure | undefined
        let given0 = 0
        for (const [i, arm] of node.arms.entries()) {
          if (unsure && line.nowMs + (expectedMs(arm.route) ?? 0) >= scope.untilMs) break
          if (i > 0 && !unsure && isTooLate(arm.route, scope)) break
          choose(node.name, i)
          const leftMs = scope.untilMs - line.nowMs
          const untilMs = Math.min(turnUntil(scope, node.arms, i), scope.untilMs - (unsure ? reserve(leftMs) : 0))
          try {
            const good = await walk(arm.route, {
              ...scope,
              untilMs,
              role: i === 0 ? scope.role : attempt(scope),
              isGuarded: i < node.arms.length - 1 || unsure !== undefined || scope.isGuarded,
            })
            const p = good.hasProbabilities ? (good.answer.get('p')!.data as Float64Array) : [0]
            if (arm.confidence === undefined || Math.max(...p) >= arm.confidence)
              return reason === undefined ? good : { ...good, isFallback: true }
            unsure = good
            given0 = i
          } catch (thrown) {
            const error = thrown as Failure
            if (isFinal(error) && !unsure) throw error
            reason ??= error
          }
        }
        if (!unsure) throw reason!
        choose(node.name, given0)
        return { ...unsure, isFallback: true }
      }
      case 'shadow': {
        const isCopied = scope.draw < node.sample
        const rest = isCopied ? scope.draw / node.sample : (scope.draw - node.sample) / (1 - node.sample)
        const draw = Math.min(Math.max(rest, 0), 1 - Number.EPSILON)
        choose(node.name, isCopied ? 'shadow' : 'primary', isCopied ? node.sample : 1 - node.sample)
        const good = await walk(node.primary, { ...scope, draw })
        if (isCopied && !isOver)
          copies.set(node.name, copies.get(node.name) ?? { node: node.shadow, draw, sample: node.sample })
        return good
      }
      case 'cheapest': {
        const inOrder = node.arms.map((arm, i) => ({ ...arm, i })).sort((a, b) => a.cost - b.cost)
        const leftMs = scope.untilMs - line.nowMs
        const fits = inOrder.filter(({ route }) => (expectedMs(route) ?? 0) <= leftMs)
        const arms = [...fits, ...inOrder.filter((arm) => !fits.includes(arm))]
        let reason: Failure | undefined
        for (const [turn, arm] of arms.entries()) {
          if (turn > 0 && isTooLate(arm.route, scope)) continue
          choose(node.name, arm.i)
          try {
            const good = await walk(arm.route, {
              ...scope,
              untilMs: turnUntil(scope, arms, turn),
              role: turn === 0 ? scope.role : attempt(scope),
              isGuarded: turn < arms.length - 1 || scope.isGuarded,
            })
            return turn === 0 ? good : { ...good, isFallback: true }
          } catch (thrown) {
            const error = thrown as Failure
            if (isFinal(error)) throw error
            if (reason === undefined || reason.code === 'ROUTE_CIRCUIT_OPEN') reason = error
          }
        }
        throw reason!
      }
      case 'fastest':
        return race(node, scope)
      case 'ensemble': {
        const { meta } = node
        const quorum = node.quorum ?? node.arms.length
        const leftMs = scope.untilMs - line.nowMs
        const keptMs = meta
          ? Math.min(
              given.expected[meta.model] === undefined ? leftMs / 4 : given.expected[meta.model]! * 3,
              leftMs / 2,
            )
          : quorum < node.arms.length
            ? reserve(leftMs)
            : 0
        choose(node.name, node.arms.map(({ name }) => name).join('+'))
        const life = new Life(scope.life)
        const goods: (Good | undefined)[] = []
        let failures = 0
        await new Promise<void>((resolve, reject) => {
          let ended = 0
          node.arms.forEach(({ route }, i) => {
            walk(route, {
              ...scope,
              untilMs: scope.untilMs - keptMs,
              isGuarded: quorum < node.arms.length || scope.isGuarded,
              life,
            }).then(
              (good) => {
                if (life.isDead) return
                goods[i] = good
                if (++ended === node.arms.length) resolve()
              },
              (error: Failure) => {
                if (life.isDead) return
                failures++
                ended++
                if (isFinal(error) || node.arms.length - failures < quorum) {
                  life.isOver = true
                  reject(error)
                } else if (ended === node.arms.length) resolve()
              },
            )
          })
        })
        const took = node.arms.flatMap((arm, i) => (goods[i] ? [{ arm, good: goods[i]! }] : []))
        choose(node.name, took.map(({ arm }) => arm.name).join('+'))
        if (meta) return walk(meta, scope)
        const weights = took.map(({ arm }) => (node.combine === 'weighted' ? arm.weight! : 1))
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const shares = weights.map((weight) => (total === 0 ? 1 / weights.length : weight / total))
        return {
          answer: blend(
            took.map(({ good }) => good.answer),
            shares,
            node.combine === 'vote',
          ),
          isFallback: failures > 0 || took.some(({ good }) => good.isFallback),
          hasProbabilities: took[0]!.good.hasProbabilities,
        }
      }
    }
  }

  function race(node: RouteNode & { kind: 'fastest' }, scope: Scope): Promise<Good> {
    return new Promise((resolve, reject) => {
      const life = new Life(scope.life)
      let started = 0
      let failed = 0
      let reason: Failure | undefined
      choose(node.name, 0)
      const start = (role: CallRole) => {
        const i = started++
        const isLastHope = started === node.arms.length && failed === i
        walk(node.arms[i]!, { ...scope, role, isGuarded: !isLastHope || scope.isGuarded, life }).then(
          (good) => {
            if (life.isDead) return
            life.isOver = true
            choose(node.name, i)
            resolve(good)
          },
          (error: Failure) => {
            if (life.isDead) return
            failed++
            reason ??= error
            if (isFinal(error)) {
              life.isOver = true
              reject(error)
            } else if (started < node.arms.length && !isTooLate(node.arms[started]!, scope)) start(attempt(scope))
            else if (failed === started) {
              life.isOver = true
              reject(reason)
            }
          },
        )
        if (node.staggerMs > 0) hedgeLater(i)
      }
      const hedgeLater = (i: number) => {
        if (started >= node.arms.length) return
        line.at(line.nowMs + node.staggerMs, () => {
          // Another arm has started since: it has a stagger of its own.
          if (life.isDead || started !== i + 1) return
          if (given.hasRetries && scope.role !== 'shadow') start(hedge(scope))
          else hedgeLater(i)
        })
      }
      start(scope.role)
      if (node.staggerMs === 0) while (started < node.arms.length) start(hedge(scope))
    })
  }

  const life = new Life()
  let end: { end: string; answer: TensorMap | undefined; isFallback: boolean } | undefined
  walk(given.tree, { untilMs: given.deadlineMs, role: 'primary', isGuarded: false, draw: given.draw, life }).then(
    ({ answer, isFallback }) => {
      end = { end: 'reply', answer, isFallback }
    },
    (error: Failure) => {
      end = { end: error.code, answer: undefined, isFallback: false }
    },
  )
  await line.play(() => end !== undefined)
  const atMs = line.nowMs
  const started = end!.end === 'reply' ? [...copies] : []
  for (const [name, { sample }] of started) if (!given.hasShadowPlaces) choose(name, 'skipped', sample)
  isOver = true
  life.isOver = true
  let running = 0
  if (given.hasShadowPlaces)
    for (const [, { node, draw }] of started) {
      running++
      const scope: Scope = {
        untilMs: atMs + given.deadlineMs,
        role: 'shadow',
        isGuarded: false,
        draw,
        life: new Life(),
      }
      walk(node, scope).then(
        () => running--,
        () => running--,
      )
    }
  await line.play(() => running === 0)
  return { ...end!, atMs, choices: Object.fromEntries(choices), calls: calls.sort(), shadowCalls: shadowCalls.sort() }
}

/** Floats averaged, everything else (all of it in a vote) by most weight, the first on a tie. */
function blend(answers: readonly TensorMap[], shares: readonly number[], isVote: boolean): TensorMap {
  return new Map(
    [...answers[0]!].map(([name, tensor]) => {
      const columns = answers.map((answer) => [...(answer.get(name)!.data as Float64Array)])
      const data = columns[0]!.map((_, at) => {
        const values = columns.map((column) => column[at]!)
        if (!isVote && tensor.datatype === 'FP64')
          return values.reduce((sum, value, arm) => sum + value * shares[arm]!, 0)
        const behind = (value: number) =>
          values.reduce((sum, other, arm) => sum + (other === value ? shares[arm]! : 0), 0)
        return values.reduce((best, value) => (behind(value) > behind(best) + 1e-9 ? value : best))
      })
      return [name, { ...tensor, data: Float64Array.from(data) }]
    }),
  )
}
