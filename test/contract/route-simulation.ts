// Runs a route's state machine in virtual time against a world, as a driver would, and checks what it promises any driver on the way.
import { expect } from 'vitest'
import { type CallStep, compileRoute, RouteErrors, type RouteRun, type Step } from '../../src/route/index.js'
import type { Happened } from './route-oracle.js'
import { answerOf, Behaviours, type Case, CONSTANT, failureOf, LAST_KNOWN } from './route-world.js'

interface Pending {
  readonly atMs: number
  readonly step: CallStep
  readonly deliver: (nowMs: number) => Step
}

export interface SimulationOptions {
  /** How late the driver hears of what happens, milliseconds; asked each time. */
  readonly lagMs?: () => number
}

export function simulate(given: Case, { lagMs = () => 0 }: SimulationOptions = {}): Happened {
  const behaviours = new Behaviours(given.behaviours)
  const run: RouteRun = compileRoute(given.tree).run()
  const calls = new Map<number, CallStep>()
  const answered = new Set<number>()
  const cancelled = new Set<number>()
  let pending: Pending[] = []
  let shadowsHeld = 0
  let shadowsTaken = 0
  let nowMs = 0
  let end: Pick<Happened, 'end' | 'atMs' | 'answer' | 'isFallback'> | undefined
  let choicesAtEnd: Record<string, string> = {}
  const answers = new Map<number, Happened['answer']>()
  const calledAt: string[] = []
  const shadowCalls: string[] = []
  const admitted: string[] = []
  /** Circuits that said no, and of which the driver was told. */
  const declined: string[] = []
  const refused: string[] = []

  const health = {
    admits: ({ model }: { model: string }) => {
      const isAdmitted = !given.open.includes(model)
      if (isAdmitted) admitted.push(model)
      else declined.push(model)
      return isAdmitted
    },
    expectedMs: ({ model }: { model: string }) => given.expected[model],
    takeRetry: () => given.hasRetries,
    takeShadow: () => {
      if (given.hasShadowPlaces) shadowsHeld++
      if (given.hasShadowPlaces) shadowsTaken++
      return given.hasShadowPlaces
    },
    endShadow: () => {
      shadowsHeld--
    },
  }

  function begin(step: CallStep): void {
    expect(calls.has(step.call), 'a call number is used once').toBe(false)
    calls.set(step.call, step)
    expect(step.role === 'shadow', 'copies start after the reply, everything else before').toBe(end !== undefined)
    expect(step.deadlineMs).toBeLessThanOrEqual(
      step.role === 'shadow' ? end!.atMs + nowMs - end!.atMs + given.deadlineMs : given.deadlineMs,
    )
    const { leaf } = step
    if (leaf.kind === 'version') {
      if (step.isGuarded) {
        const asked = admitted.indexOf(leaf.model)
        expect(asked, 'circuits are asked for each guarded call').not.toBe(-1)
        admitted.splice(asked, 1)
      }
      const text = `${leaf.model} ${step.role} ${nowMs.toFixed(6)} ${step.deadlineMs.toFixed(6)}`
      if (step.role === 'shadow') shadowCalls.push(text)
      else calledAt.push(text)
      const { outcome, latencyMs, confidence } = behaviours.take(leaf)
      if (outcome === 'hang') return
      const answer = answerOf(leaf.model, confidence)
      pending.push({
        atMs: nowMs + latencyMs,
        step,
        deliver: (at) => {
          if (outcome !== 'ok')
            return run.resume({ kind: 'failure', call: step.call, error: failureOf(outcome), nowMs: at })
          answers.set(step.call, answer)
          answered.add(step.call)
          return run.resume({ kind: 'result', call: step.call, answer, nowMs: at, probabilities: 'p' })
        },
      })
      return
    }
    const answer = leaf.kind === 'constant' ? CONSTANT : LAST_KNOWN
    const fails = leaf.kind === 'last-known' && !given.hasLastKnown
    pending.push({
      atMs: nowMs,
      step,
      deliver: (at) => {
        const error = RouteErrors.NO_LAST_KNOWN({ endpoint: 'e' })
        if (fails) return run.resume({ kind: 'failure', call: step.call, error, nowMs: at })
        answers.set(step.call, answer)
        answered.add(step.call)
        return run.resume({ kind: 'result', call: step.call, answer, nowMs: at })
      },
    })
  }

  let step = run.start({
    endpoint: 'e' as never,
    unit: given.unit,
    priority: given.priority,
    draw: given.draw,
    deadlineMs: given.deadlineMs,
    health,
  })
  for (let turns = 0; ; turns++) {
    expect(turns, 'a run comes to an end').toBeLessThan(2000)
    if (step.kind === 'detach') break
    switch (step.kind) {
      case 'call':
        begin(step)
        step = run.resume({ kind: 'next', nowMs })
        break
      case 'refused':
        expect(given.open, 'only an open circuit refuses').toContain(step.leaf.model)
        expect(step.role, 'copies ask no circuit').not.toBe('shadow')
        refused.push(step.leaf.model)
        step = run.resume({ kind: 'next', nowMs })
        break
      case 'cancel': {
        const { call } = step
        // One whose end the driver was late to tell may be over already.
        expect(calls.has(call), 'only what was called is cancelled').toBe(true)
        expect(cancelled.has(call), 'a call is cancelled once').toBe(false)
        cancelled.add(call)
        pending = pending.filter((other) => other.step.call !== call)
        step = run.resume({ kind: 'next', nowMs })
        break
      }
      case 'reply':
      case 'fail': {
        expect(end, 'there is one reply').toBeUndefined()
        if (step.kind === 'reply') {
          expect(answered.has(step.call) && !cancelled.has(step.call), 'the answer is of a call that answered').toBe(
            true,
          )
          expect(nowMs, 'a reply is in time').toBeLessThanOrEqual(given.deadlineMs)
          expect(step.isFallback).toBe(step.fallback !== undefined)
          end = {
            end: 'reply',
            atMs: nowMs,
            answer: step.answer ?? answers.get(step.call),
            isFallback: step.isFallback,
          }
        } else end = { end: step.error.code, atMs: nowMs, answer: undefined, isFallback: false }
        choicesAtEnd = choicesOf(run)
        step = run.resume({ kind: 'next', nowMs })
        break
      }
      case 'wait': {
        pending.sort((a, b) => a.atMs - b.atMs)
        const next = pending[0]
        const untilMs = step.untilMs ?? Number.POSITIVE_INFINITY
        if (next && next.atMs <= untilMs) {
          pending.shift()
          nowMs = Math.max(nowMs, next.atMs + lagMs())
          step = next.deliver(nowMs)
        } else {
          expect(untilMs, 'a run never waits for nothing').toBeLessThan(Number.POSITIVE_INFINITY)
          nowMs = Math.max(nowMs, untilMs + lagMs())
          step = run.resume({ kind: 'time', nowMs })
        }
        break
      }
    }
  }
  expect(end, 'there is a reply').toBeDefined()
  expect(choicesOf(run), 'what was chosen is complete with the reply').toEqual(choicesAtEnd)
  expect(shadowsHeld, 'places for copies are given back').toBe(0)
  expect(admitted, 'what a circuit admits goes out').toEqual([])
  expect(refused, 'the driver hears of each refusal once, in order').toEqual(declined)
  if (end!.end !== 'reply') expect(shadowsTaken).toBe(0)
  expect(run.resume({ kind: 'next', nowMs }).kind, 'nothing comes after the detach').toBe('detach')
  expect(
    pending.filter((other) => other.step.role === 'shadow'),
    'no copy is forgotten',
  ).toEqual([])
  return { ...end!, choices: choicesAtEnd, calls: calledAt.sort(), shadowCalls: shadowCalls.sort() }
}

export function choicesOf({ choices }: Pick<RouteRun, 'choices'>): Record<string, string> {
  return Object.fromEntries(choices.map(({ node, arm, probability }) => [node, `${arm} ${probability.toFixed(9)}`]))
}
