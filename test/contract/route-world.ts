// A world for routes to run in: random trees, and versions that answer, fail, refuse or hang as the case says. What a version does
// depends on which call of it this is, so that every interpreter meets the same world.
import fc from 'fast-check'
import { HeadraceError } from '../../src/core/index.js'
import {
  cascade,
  cheapest,
  constant,
  ensemble,
  fallback,
  fastest,
  lastKnown,
  match,
  type RouteNode,
  shadow,
  split,
  type VersionLeaf,
  version,
} from '../../src/route/index.js'
import type { Tensor, TensorMap } from '../../src/tensor/index.js'

export type Outcome = 'ok' | 'fail' | 'passing' | 'caller' | 'overload' | 'hang'

export interface Behaviour {
  readonly outcome: Outcome
  readonly latencyMs: number
  /** Of the answer. */
  readonly confidence: number
}

export interface Case {
  readonly tree: RouteNode
  readonly unit: string | undefined
  readonly priority: 'high' | 'normal' | 'low'
  readonly draw: number
  readonly deadlineMs: number
  /** By model: what its first, second, … call does; the last one is what all later calls do. */
  readonly behaviours: Readonly<Record<string, readonly Behaviour[]>>
  /** Models whose circuit is open. */
  readonly open: readonly string[]
  readonly expected: Readonly<Record<string, number>>
  readonly hasRetries: boolean
  readonly hasShadowPlaces: boolean
  readonly hasLastKnown: boolean
}

export const MODELS = ['m0', 'm1', 'm2', 'm3', 'm4']
/** Those whose circuit may be open. */
const OPENABLE: string[] = ['m3', 'm4']

export function arbitraryRoute(depth = 3): fc.Arbitrary<RouteNode> {
  const leaf = fc.constantFrom(...MODELS).map((model): RouteNode => version(model, 1))
  const { inner } = fc.letrec<{ node: RouteNode; inner: RouteNode; any: RouteNode }>((tie) => {
    const arms = fc.array(tie('node'), { minLength: 1, maxLength: 3 })
    const weighted = fc.array(fc.record({ weight: fc.integer({ min: 0, max: 10 }), route: tie('node') }), {
      minLength: 1,
      maxLength: 3,
    })
    return {
      // A tree needs a version; leaves that are none stand beside one.
      any: fc.oneof(
        { weight: 6, arbitrary: tie('node') },
        { weight: 1, arbitrary: fc.constant(lastKnown() as RouteNode) },
        { weight: 1, arbitrary: fc.constant(constant('default', { p: [0.5, 0.5], label: -1 }) as RouteNode) },
      ),
      node: fc.oneof(
        { maxDepth: depth, withCrossShrink: true },
        { weight: 2, arbitrary: leaf },
        { weight: 3, arbitrary: tie('inner') },
      ),
      inner: fc.oneof(
        { maxDepth: depth, withCrossShrink: true },
        leaf,
        fc
          .record({ by: fc.constantFrom('unit' as const, 'request' as const), arms: weighted })
          .filter(({ arms }) => arms.some(({ weight }) => weight > 0))
          .map(({ by, arms }) => split({ name: 'x', by, arms: arms.map((arm, i) => ({ name: `a${i}`, ...arm })) })),
        fc
          .record({ when: fc.constantFrom('high' as const, 'low' as const), hit: tie('node'), otherwise: tie('node') })
          .map(({ when, hit, otherwise }) =>
            match({ name: 'x', cases: [{ name: 'hit', when: { priority: [when] }, route: hit }], otherwise }),
          ),
        fc
          .record({
            first: fc.array(
              fc.record(
                {
                  route: tie('node'),
                  timeoutMs: fc.integer({ min: 1, max: 400 }),
                  retries: fc.integer({ min: 0, max: 2 }),
                },
                { requiredKeys: ['route'] },
              ),
              { minLength: 1, maxLength: 2 },
            ),
            last: tie('any'),
          })
          .map(({ first, last }) => fallback({ name: 'x', arms: [...first, last] })),
        fc
          .record({
            cheap: fc.array(tie('node'), { maxLength: 2 }),
            least: fc.constantFrom(0.6, 0.8, 1),
            last: tie('node'),
          })
          .map(({ cheap, least, last }) =>
            cascade({ name: 'x', arms: [...cheap.map((route) => ({ route, confidence: least })), { route: last }] }),
          ),
        fc
          .record({ primary: tie('node'), copy: tie('node'), sample: fc.constantFrom(0, 0.3, 1) })
          .map(({ primary, copy, sample }) => shadow({ name: 'x', primary, shadow: withoutShadows(copy), sample })),
        fc
          .record({ arms, staggerMs: fc.constantFrom(0, 20.3371, 150.7713) })
          .map((given) => fastest({ name: 'x', ...given })),
        fc
          .array(fc.record({ route: tie('node'), cost: fc.integer({ min: 0, max: 3 }) }), {
            minLength: 1,
            maxLength: 3,
          })
          .map((given) => cheapest({ name: 'x', arms: given })),
        fc
          .record({
            combine: fc.constantFrom('average' as const, 'weighted' as const, 'vote' as const, 'stack' as const),
            arms: weighted,
            quorum: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
          })
          .filter(({ arms }) => arms.some(({ weight }) => weight > 0))
          .map(({ combine, arms, quorum }) =>
            ensemble({
              name: 'x',
              combine,
              arms: arms.map((arm, i) => ({ name: `e${i}`, ...arm })),
              ...(combine === 'stack' ? { meta: version('meta', 1) } : undefined),
              ...(combine === 'stack' || quorum === undefined ? undefined : { quorum: Math.min(quorum, arms.length) }),
            }),
          ),
      ),
    }
  })
  return inner.map((tree) => named(withoutTies(tree, 0, 0), { next: 0 }))
}

/** Names in a tree are unique; a counter of its own for each tree keeps cases repeatable. */
function named(node: RouteNode, names: { next: number }): RouteNode {
  if (node.kind === 'version' || node.kind === 'last-known' || node.kind === 'constant') return node
  const name = `${node.kind}-${names.next++}`
  const renamed = mapArms({ ...node, name }, (inner) => named(inner, names))
  return renamed.kind === 'split' ? { ...renamed, salt: name } : renamed
}

/**
 * Of arms that run together no two may end at the very moment they start, since whose end is first is then nothing a route
 * promises: only leaves directly under a race may have an open circuit.
 */
function withoutTies(node: RouteNode, races: number, depth: number): RouteNode {
  if (races > 0) {
    if (node.kind === 'constant' || node.kind === 'last-known') return version(MODELS[0]!, 1)
    if (node.kind === 'version' && OPENABLE.includes(node.model) && depth > 1) return version(MODELS[1]!, 1)
  }
  const isRace = node.kind === 'fastest' || node.kind === 'ensemble'
  return mapArms(node, (inner) => withoutTies(inner, races + (isRace ? 1 : 0), races > 0 || isRace ? depth + 1 : 0))
}

function withoutShadows(node: RouteNode): RouteNode {
  return node.kind === 'shadow' ? withoutShadows(node.primary) : mapArms(node, withoutShadows)
}

function mapArms(node: RouteNode, change: (node: RouteNode) => RouteNode): RouteNode {
  const arm = <A extends { readonly route: RouteNode }>(given: A): A => ({ ...given, route: change(given.route) })
  switch (node.kind) {
    case 'version':
    case 'last-known':
    case 'constant':
      return node
    case 'split':
      return { ...node, arms: node.arms.map(arm) }
    case 'ensemble':
      return { ...node, arms: node.arms.map(arm) }
    case 'fallback':
      return { ...node, arms: node.arms.map(arm) }
    case 'cascade':
      return { ...node, arms: node.arms.map(arm) }
    case 'cheapest':
      return { ...node, arms: node.arms.map(arm) }
    case 'match':
      return { ...node, cases: node.cases.map(arm), otherwise: change(node.otherwise) }
    case 'shadow':
      return { ...node, primary: change(node.primary), shadow: change(node.shadow) }
    case 'fastest':
      return { ...node, arms: node.arms.map(change) }
  }
}

/** Latencies that no sum of others equals: what happens at one moment has no order that a route promises. */
const latency = fc
  .oneof(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 0, max: 600_000 }))
  .map((n) => n / 1000 + 0.000137)

const behaviour: fc.Arbitrary<Behaviour> = fc.record({
  outcome: fc.oneof(
    { weight: 6, arbitrary: fc.constant<Outcome>('ok') },
    { weight: 3, arbitrary: fc.constantFrom<Outcome>('fail', 'passing') },
    { weight: 1, arbitrary: fc.constantFrom<Outcome>('caller', 'overload', 'hang') },
  ),
  latencyMs: latency,
  confidence: fc.constantFrom(0.5, 0.7, 0.9, 1),
})

export function arbitraryCase(): fc.Arbitrary<Case> {
  const perModel = <T>(each: fc.Arbitrary<T>) =>
    fc
      .tuple(...[...MODELS, 'meta'].map(() => each))
      .map((all) => Object.fromEntries(all.map((one, i) => [[...MODELS, 'meta'][i]!, one])))
  return fc.record({
    tree: arbitraryRoute(),
    unit: fc.option(fc.constantFrom('u1', 'u2', 'u3'), { nil: undefined }),
    priority: fc.constantFrom('high' as const, 'normal' as const, 'low' as const),
    draw: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    deadlineMs: fc.constantFrom(100, 300, 1000),
    behaviours: perModel(fc.array(behaviour, { minLength: 1, maxLength: 3 })),
    open: fc.subarray(OPENABLE),
    expected: perModel(fc.option(fc.constantFrom(1, 40, 400), { nil: undefined })) as fc.Arbitrary<
      Record<string, number>
    >,
    hasRetries: fc.boolean(),
    hasShadowPlaces: fc.boolean(),
    hasLastKnown: fc.boolean(),
  })
}

/** What the next call of each model does. */
export class Behaviours {
  readonly #next = new Map<string, number>()
  constructor(private readonly of: Case['behaviours']) {}

  take({ model }: VersionLeaf): Behaviour {
    const all = this.of[model]!
    const at = this.#next.get(model) ?? 0
    this.#next.set(model, at + 1)
    return all[Math.min(at, all.length - 1)]!
  }
}

export function failureOf(outcome: Outcome): HeadraceError {
  switch (outcome) {
    case 'passing':
      return new HeadraceError('TEST_PASSING', 'passing', 504, true, 'warn', {})
    case 'caller':
      return new HeadraceError('TEST_CALLER', 'caller', 400, false, 'info', {})
    case 'overload':
      return new HeadraceError('TEST_OVERLOAD', 'overload', 429, true, 'warn', { retryAfterMs: 1000 })
    default:
      return new HeadraceError('TEST_FAILED', 'failed', 500, false, 'error', {})
  }
}

/** A model's answer: how sure it is, and a label that tells models apart. */
export function answerOf(model: string, confidence: number): TensorMap {
  const p: Tensor = { name: 'p', datatype: 'FP64', shape: [1, 2], data: Float64Array.of(confidence, 1 - confidence) }
  const label: Tensor = {
    name: 'label',
    datatype: 'INT32',
    shape: [1, 1],
    data: Int32Array.of(model.charCodeAt(model.length - 1)),
  }
  return new Map([
    ['p', p],
    ['label', label],
  ])
}

/** As the driver gives them, known to every interpreter. */
export const LAST_KNOWN: TensorMap = answerOf('last-known', 0.95)
export const CONSTANT: TensorMap = new Map<string, Tensor>([
  ['p', { name: 'p', datatype: 'FP64', shape: [1, 2], data: Float64Array.of(0.5, 0.5) }],
  ['label', { name: 'label', datatype: 'INT32', shape: [1, 1], data: Int32Array.of(-1) }],
])

/** For comparing answers: values only. */
export function valuesOf(answer: TensorMap): Record<string, unknown> {
  return Object.fromEntries(
    [...answer].map(([name, { shape, data }]) => [
      name,
      { shape, data: [...(data as Float64Array)].map((x) => Math.round(x * 1e9) / 1e9) },
    ]),
  )
}
