// Keys as callers carry them: `hr_`, twelve hex digits that name the key, and 192 random bits. What is stored is an HMAC under a secret
// of the server's, so that a copy of the database is of no use to anybody.
import { createHmac, randomBytes } from 'node:crypto'

const KEY = /^hr_[0-9a-f]{12}_[A-Za-z0-9_-]{32}$/
const KEY_LENGTH = 48
const ID_BYTES = 6
const RANDOM_BYTES = 24

export interface NewKey {
  readonly id: string
  /** What the caller sends; nobody can read it again. */
  readonly text: string
}

export function newKey(): NewKey {
  const id = randomBytes(ID_BYTES).toString('hex')
  return { id, text: `hr_${id}_${randomBytes(RANDOM_BYTES).toString('base64url')}` }
}

/** The id in a text that has the form of a key; undefined for any other. */
export function keyIdOf(text: string): string | undefined {
  return text.length === KEY_LENGTH && KEY.test(text) ? text.slice(3, 15) : undefined
}

export function digestOf(text: string, secret: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(text).digest()
}

/** Tells secrets apart without saying anything about them. */
export function secretIdOf(secret: Uint8Array): string {
  return createHmac('sha256', secret).update('the id of this secret').digest('hex').slice(0, 16)
}
