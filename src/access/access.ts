// Who calls: open until the first key or issuer of tokens.
import { ANONYMOUS, checkAllowed } from './permissions.js'
import type { Access } from './types.js'

export function createAccess(): Access {
  return { isOpen: true, authenticate: () => ANONYMOUS, check: checkAllowed }
}
