// An entity is what features are about: a user, a card, a pair of user and merchant. Its keys name one.
import type { KeyType } from '../value.js'
import type { Described } from './described.js'

export interface Entity<Keys extends Readonly<Record<string, KeyType>> = Readonly<Record<string, KeyType>>>
  extends Described {
  readonly kind: 'entity'
  readonly name: string
  /** In the order given; several make a composite key. */
  readonly keys: Keys
}

/**
 * Defines an entity by the keys that its rows and requests carry.
 *
 * @example defineEntity('user', { keys: { user_id: 'string' } })
 */
export function defineEntity<const Keys extends Readonly<Record<string, KeyType>>>(
  name: string,
  options: { readonly keys: Keys } & Described,
): Entity<Keys> {
  return { kind: 'entity', name, ...options }
}
