// Nodes, arms and their settings in words.
import type { RouteArm, RouteView } from '../api/types.js'
import { formatDuration, formatNumber, formatShare, formatValue } from '../format.js'

const KINDS: Readonly<Record<RouteView['kind'], string>> = {
  version: 'version',
  'last-known': 'last known answer',
  constant: 'constant',
  split: 'split',
  match: 'match',
  fallback: 'fallback',
  cascade: 'cascade',
  shadow: 'shadow',
  fastest: 'fastest',
  cheapest: 'cheapest',
  ensemble: 'ensemble',
}

export function kindText({ kind, settings }: RouteView): string {
  switch (kind) {
    case 'split':
      return `split by ${formatValue(settings['by'])}`
    case 'shadow':
      return `shadow of ${formatShare(Number(settings['sample']))}`
    case 'ensemble':
      return `ensemble, ${formatValue(settings['combine'])}`
    case 'fastest':
      return Number(settings['staggerMs']) > 0
        ? `fastest, next after ${milliseconds(settings['staggerMs'])}`
        : 'fastest, all at once'
    case 'last-known':
      return settings['maxAgeMs'] === undefined
        ? KINDS[kind]
        : `last known answer, up to ${formatDuration(Number(settings['maxAgeMs']))}`
    default:
      return KINDS[kind]
  }
}

/** What stands on the edge: the share it should have, or when it is taken. */
export function armText({ kind }: RouteView, { arm, share, settings }: RouteArm): string {
  const nth = Number(arm) + 1
  switch (kind) {
    case 'split':
      return `${arm} ${formatShare(share)}`
    case 'fallback': {
      const time = settings['timeoutMs'] === undefined ? '' : ` ≤ ${milliseconds(settings['timeoutMs'])}`
      return `${nth === 1 ? 'first' : 'then'}${time}`
    }
    case 'cascade':
      return settings['confidence'] === undefined ? 'else' : `if ≥ ${formatShare(Number(settings['confidence']))} sure`
    case 'cheapest':
      return `cost ${formatValue(settings['cost'])}`
    case 'fastest':
      return `arm ${nth}`
    case 'ensemble':
      return settings['weight'] === undefined ? arm : `${arm} × ${formatValue(settings['weight'])}`
    default:
      return arm
  }
}

/** As it was set, without the digits of something measured. */
function milliseconds(value: unknown): string {
  return `${formatNumber(Number(value))}\u00a0ms`
}

/** Conditions of a match's case: `tenant: acme or globex`. */
export function conditionsText(settings: Readonly<Record<string, unknown>>): string {
  return Object.entries(settings)
    .flatMap(([name, value]) =>
      name === 'metadata' && typeof value === 'object' && value !== null
        ? Object.entries(value)
        : [[name, value] as const],
    )
    .map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(' or ') : formatValue(value)}`)
    .join(', ')
}
