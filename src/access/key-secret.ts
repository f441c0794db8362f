// The server's own secret, under which keys are stored. Nodes of one metadata store have to share it; a single one makes its own.
import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { AccessErrors } from './errors.js'

const SECRET_BYTES = 32
const MIN_GIVEN_BYTES = 32
const FILE = 'key-secret'

/** `given` is HEADRACE_KEY_SECRET. Throws ACCESS_SECRET_INVALID. */
export async function loadKeySecret(dataDir: string, given: string | undefined): Promise<Buffer> {
  if (given !== undefined && given !== '') {
    const secret = Buffer.from(given)
    if (secret.length < MIN_GIVEN_BYTES)
      throw AccessErrors.SECRET_INVALID({ from: 'HEADRACE_KEY_SECRET', bytes: secret.length })
    return secret
  }
  const file = path.join(dataDir, FILE)
  const kept = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  const secret = kept ?? (await make(dataDir, file))
  if (secret.length < SECRET_BYTES) throw AccessErrors.SECRET_INVALID({ from: file, bytes: secret.length })
  return secret
}

/** Whole or not at all, and never over one that another process made meanwhile: keys would be lost with it. */
async function make(dataDir: string, file: string): Promise<Buffer> {
  await mkdir(dataDir, { recursive: true })
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(randomBytes(SECRET_BYTES))
    await handle.sync()
  } finally {
    await handle.close()
  }
  await link(draft, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  return readFile(file)
}
