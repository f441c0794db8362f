// Blob keys that mean the same file everywhere: on a disk, in S3, on a file system that ignores case or forbids characters.
import { StoreErrors } from './errors.js'

const MAX_KEY_LENGTH = 1_024
const MAX_PART_LENGTH = 255

/** Throws STORE_KEY_INVALID unless the key is `/`-separated parts of letters, digits and `._=@+~-` that do not start with a dot. */
export function checkBlobKey(key: string): void {
  const refuse = (reason: string) => StoreErrors.KEY_INVALID({ key: key.slice(0, MAX_KEY_LENGTH), reason })
  if (key.length > MAX_KEY_LENGTH) throw refuse(`it is longer than ${MAX_KEY_LENGTH} characters`)
  for (const part of key.split('/')) {
    if (part === '') throw refuse('it is empty or has an empty part')
    if (part.length > MAX_PART_LENGTH) throw refuse(`a part is longer than ${MAX_PART_LENGTH} characters`)
    // This is what keeps a key inside its folder: no "..", no absolute path, no drive, no separator of another system.
    if (part.startsWith('.')) throw refuse('a part starts with a dot')
    if (!isPart(part)) throw refuse('it has characters other than letters, digits and ._=@+~-')
  }
}

/** Whether a file of this name can be part of a key; others are not ours. */
export function isPart(name: string): boolean {
  return /^[A-Za-z0-9_=@+~-][A-Za-z0-9._=@+~-]*$/.test(name)
}
