// The key that a server signs its packages with: Ed25519, made when it is first needed, kept in the data folder for its owner alone.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Platform } from '../../core/index.js'

/** `ed25519:` and the public key in base64url. */
export type Signer = string

export interface Signing {
  readonly signer: Signer
  sign(bytes: Uint8Array): string
}

const PREFIX = 'ed25519:'
/** DER of an Ed25519 public key before its 32 bytes. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

export async function openSigning(file: string, { ids }: Pick<Platform, 'ids'>): Promise<Signing> {
  const key = createPrivateKey(await readOrMake(file, ids.next()))
  const raw = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(SPKI.length)
  return {
    signer: `${PREFIX}${raw.toString('base64url')}`,
    sign: (bytes) => sign(null, bytes, key).toString('base64url'),
  }
}

async function readOrMake(file: string, id: string): Promise<string> {
  const known = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (known !== undefined) return known
  const { privateKey } = generateKeyPairSync('ed25519')
  const draft = `${file}.${id}`
  await mkdir(dirname(file), { recursive: true })
  await writeFile(draft, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flush: true })
  try {
    // Another process may be making one, too: the first that is whole counts.
    await link(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  return readFile(file, 'utf8')
}

/** undefined for what is no key. */
function publicKey(signer: Signer): KeyObject | undefined {
  const raw = signer.startsWith(PREFIX) ? decode(signer.slice(PREFIX.length), 32) : undefined
  return raw && createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' })
}

export function isSigner(text: string): boolean {
  return publicKey(text) !== undefined
}

export function isSignedBy(signer: Signer, bytes: Uint8Array, signature: string): boolean {
  const key = publicKey(signer)
  const raw = decode(signature, 64)
  return key !== undefined && raw !== undefined && verify(null, bytes, key, raw)
}

/** Only the one way to write these bytes: the last character of base64 has bits that mean nothing. */
function decode(text: string, length: number): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === length && bytes.toString('base64url') === text ? bytes : undefined
}
