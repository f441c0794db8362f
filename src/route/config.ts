// The route as the configuration writes it, and the helpers that make it readable there. What depends on the tree as a whole (names
// used twice, weights that are all zero, arms never reached) is checked by compileRoute.
import { z } from 'zod'
import { isName, type ModelName } from '../core/index.js'
import type {
  Cascade,
  Cheapest,
  Constant,
  Ensemble,
  Fallback,
  FallbackArm,
  Fastest,
  LastKnown,
  Match,
  RouteNode,
  Shadow,
  Split,
  VersionLeaf,
} from './types.js'

const name = z.string().refine(isName, 'must be letters, digits, ".", "_" or "-", at most 128')
const nodeName = name.describe('Names the node in records')

const selector = z.union([z.literal('latest'), z.int().positive(), z.strictObject({ alias: z.string().min(1) })])

const leaf = z.strictObject({
  kind: z.literal('version'),
  model: name.transform((text) => text as ModelName),
  version: selector.describe('A version number, "latest" or { alias }'),
})

const scalar = z.union([z.number(), z.string(), z.boolean()])
const values = z.array(z.string()).min(1, 'lists no value, so it can never hold')

/** A route tree: leaves answer, inner nodes decide. */
export const routeSchema: z.ZodType<RouteNode, unknown> = z.lazy(() =>
  z.discriminatedUnion(
    'kind',
    [
      leaf,
      z.strictObject({ kind: z.literal('last-known'), maxAgeMs: z.number().positive().exactOptional() }),
      z.strictObject({
        kind: z.literal('constant'),
        name,
        outputs: z.record(z.string(), z.union([scalar, z.array(scalar)])),
      }),
      z.strictObject({
        kind: z.literal('split'),
        name: nodeName,
        salt: z.string().min(1).describe('Assignment = hash(salt, unit); change it only to re-assign everyone'),
        by: z.enum(['unit', 'request']),
        arms: z.array(z.strictObject({ name, weight: z.number().min(0), route: routeSchema })).min(1),
      }),
      z.strictObject({
        kind: z.literal('match'),
        name: nodeName,
        cases: z.array(
          z.strictObject({
            name,
            when: z.strictObject({
              tenant: values.exactOptional(),
              unit: values.exactOptional(),
              protocol: values.exactOptional(),
              priority: z
                .array(z.enum(['high', 'normal', 'low']))
                .min(1)
                .exactOptional(),
              metadata: z.record(z.string(), values).exactOptional(),
            }),
            route: routeSchema,
          }),
        ),
        otherwise: routeSchema,
      }),
      z.strictObject({
        kind: z.literal('fallback'),
        name: nodeName,
        arms: z
          .array(
            z.strictObject({
              route: routeSchema,
              timeoutMs: z.number().positive().exactOptional(),
              retries: z.int().min(0).max(10).exactOptional(),
            }),
          )
          .min(1),
      }),
      z.strictObject({
        kind: z.literal('cascade'),
        name: nodeName,
        arms: z
          .array(z.strictObject({ route: routeSchema, confidence: z.number().min(0).max(1).exactOptional() }))
          .min(1),
        output: z.string().min(1).exactOptional(),
      }),
      z.strictObject({
        kind: z.literal('shadow'),
        name: nodeName,
        primary: routeSchema,
        shadow: routeSchema,
        sample: z.number().min(0).max(1),
        maxInFlight: z.int().min(1),
      }),
      z.strictObject({
        kind: z.literal('fastest'),
        name: nodeName,
        arms: z.array(routeSchema).min(1),
        staggerMs: z.number().min(0),
      }),
      z.strictObject({
        kind: z.literal('cheapest'),
        name: nodeName,
        arms: z.array(z.strictObject({ route: routeSchema, cost: z.number().min(0) })).min(1),
      }),
      z.strictObject({
        kind: z.literal('ensemble'),
        name: nodeName,
        combine: z.enum(['average', 'weighted', 'vote', 'stack']),
        arms: z.array(z.strictObject({ name, route: routeSchema, weight: z.number().min(0).exactOptional() })).min(1),
        meta: leaf.exactOptional(),
        quorum: z.int().min(1).exactOptional(),
      }),
    ],
    'must be a route: version(…), split(…), match(…), fallback(…), cascade(…), shadow(…), fastest(…), cheapest(…), ensemble(…), lastKnown(…) or constant(…)',
  ),
)

/** A leaf: `version('fraud', 2)`, `version('fraud', 'latest')` (the default) or `version('fraud', { alias: 'champion' })`. */
export function version(model: string, selected: VersionLeaf['version'] = 'latest'): VersionLeaf {
  return { kind: 'version', model: model as ModelName, version: selected }
}

/** Divides traffic between arms, sticky to the unit unless `by: 'request'`; the salt defaults to the node's name. */
export function split(options: Pick<Split, 'name' | 'arms'> & Partial<Pick<Split, 'salt' | 'by'>>): Split {
  return { kind: 'split', salt: options.name, by: 'unit', ...options }
}

/** The first case whose conditions all hold, or `otherwise`. */
export function match(options: Omit<Match, 'kind'>): Match {
  return { kind: 'match', ...options }
}

/** Arms in order until one answers: `fallback({ name, arms: [version('fraud', 2), { route: version('fraud', 1), timeoutMs: 50 }] })`. */
export function fallback(options: {
  readonly name: string
  readonly arms: readonly (RouteNode | FallbackArm)[]
}): Fallback {
  return {
    kind: 'fallback',
    name: options.name,
    arms: options.arms.map((arm) => ('kind' in arm ? { route: arm } : arm)),
  }
}

/** Cheap first, on to the next while the answer is not sure enough: every arm but the last states its `confidence`. */
export function cascade(options: Omit<Cascade, 'kind'>): Cascade {
  return { kind: 'cascade', ...options }
}

/** Answers from `primary` and copies a share (default all) to `shadow` after the reply; at most 64 copies at once by default. */
export function shadow(
  options: Pick<Shadow, 'name' | 'primary' | 'shadow'> & Partial<Pick<Shadow, 'sample' | 'maxInFlight'>>,
): Shadow {
  return { kind: 'shadow', sample: 1, maxInFlight: 64, ...options }
}

/** All arms at once, or one more each `staggerMs`; the first answer wins. */
export function fastest(options: Pick<Fastest, 'name' | 'arms'> & Partial<Pick<Fastest, 'staggerMs'>>): Fastest {
  return { kind: 'fastest', staggerMs: 0, ...options }
}

/** The arm of least cost that is well and expected to finish in time; then the next. */
export function cheapest(options: Omit<Cheapest, 'kind'>): Cheapest {
  return { kind: 'cheapest', ...options }
}

/** Several arms at once, their answers combined. */
export function ensemble(options: Omit<Ensemble, 'kind'>): Ensemble {
  return { kind: 'ensemble', ...options }
}

/** The last answer this endpoint gave to the same request; needs the endpoint's cache. */
export function lastKnown(options: Omit<LastKnown, 'kind'> = {}): LastKnown {
  return { kind: 'last-known', ...options }
}

/** The same outputs for every row: `constant('approve', { label: 'ok', score: 0.5 })`. */
export function constant(name: string, outputs: Constant['outputs']): Constant {
  return { kind: 'constant', name, outputs }
}
