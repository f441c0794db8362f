// A leaf in words.
import type { RouteLeaf } from './types.js'

/** Names a leaf to people: `fraud/2`, `fraud/latest`, `fraud@champion`, `constant "approve"`. */
export function leafText(leaf: RouteLeaf): string {
  switch (leaf.kind) {
    case 'version':
      return typeof leaf.version === 'object'
        ? `${leaf.model}@${leaf.version.alias}`
        : `${leaf.model}/${String(leaf.version)}`
    case 'last-known':
      return 'the last known answer'
    case 'constant':
      return `constant "${leaf.name}"`
  }
}
