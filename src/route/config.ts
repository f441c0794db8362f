// The route as the configuration writes it, and the helpers `version` and `split` that make it readable there.
import { z } from 'zod'
import { isName, type ModelName } from '../core/index.js'
import type { RouteNode, Split, VersionLeaf } from './types.js'

const name = z.string().refine(isName, 'must be letters, digits, ".", "_" or "-", at most 128')

const selector = z.union([z.literal('latest'), z.int().positive(), z.strictObject({ alias: z.string().min(1) })])

const leaf = z.strictObject({
  kind: z.literal('version'),
  model: name.transform((text) => text as ModelName),
  version: selector.describe('A version number, "latest" or { alias }'),
})

/** A route tree: leaves are versions, inner nodes decide. */
export const routeSchema: z.ZodType<RouteNode, unknown> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    leaf,
    z.strictObject({
      kind: z.literal('split'),
      name: name.describe('Names the node in records'),
      salt: z.string().min(1).describe('Assignment = hash(salt, unit); change it only to re-assign everyone'),
      by: z.enum(['unit', 'request']),
      arms: z.array(z.strictObject({ name, weight: z.number().min(0), route: routeSchema })).min(1),
    }),
  ]),
)

/** A leaf: `version('fraud', 2)`, `version('fraud', 'latest')` (the default) or `version('fraud', { alias: 'champion' })`. */
export function version(model: string, selected: VersionLeaf['version'] = 'latest'): VersionLeaf {
  return { kind: 'version', model: model as ModelName, version: selected }
}

/** Divides traffic between arms, sticky to the unit unless `by: 'request'`; the salt defaults to the node's name. */
export function split(options: Pick<Split, 'name' | 'arms'> & Partial<Pick<Split, 'salt' | 'by'>>): Split {
  return { kind: 'split', salt: options.name, by: 'unit', ...options }
}
