// A version as one signed file, from one registry to another: a tar of its manifest, the signature, and each of its files once.
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Digest, Platform } from '../../core/index.js'
import type { Blobs } from '../../store/index.js'
import { fileDigest } from '../digest.js'
import { RegistryErrors } from '../errors.js'
import { putFile } from '../put-file.js'
import { checkFiles } from '../registered-checks.js'
import {
  blobKey,
  type Registered,
  type RegisteredRef,
  type RegisteredVersion,
  type RegistryActor,
  type RegistryService,
} from '../service.js'
import {
  blobName,
  MANIFEST_NAME,
  MAX_MANIFEST_BYTES,
  manifestOf,
  readPackageManifest,
  registrationFrom,
  SIGNATURE_NAME,
} from './format.js'
import { isSignedBy, type Signing } from './signing.js'
import { TAR_END, TarReader, tarHeader, tarPadding } from './tar.js'

export interface PackagesOptions {
  readonly registry: Pick<RegistryService, 'describe' | 'claimBlobs' | 'registerVersion'>
  readonly blobs: Blobs
  readonly platform: Platform
  readonly signing: Signing
}

export interface ImportRequest {
  /** Read, not removed. */
  readonly file: string
  /** An own folder for what is in it. */
  readonly scratch: string
  /** Signers that are trusted beside this registry itself. */
  readonly trust: readonly string[]
  /** Takes a package without a signature. */
  readonly insecureUnsigned?: boolean
  /** In place of the name that the model had. */
  readonly as?: string
  readonly by: RegistryActor
}

/** The package in pieces. Throws REGISTRY_VERSION_NOT_FOUND and what the blob store throws. */
export async function exportVersion(
  { registry, blobs, platform, signing }: PackagesOptions,
  ref: string | RegisteredRef,
): Promise<{ readonly version: RegisteredVersion; readonly content: Readable }> {
  const version = await registry.describe(ref)
  const manifest = manifestOf(version, platform.clock.nowMs())
  const signature = Buffer.from(JSON.stringify({ signer: signing.signer, signature: signing.sign(manifest) }))
  const files = new Map(version.files.map((file) => [file.digest, file]))
  async function* pieces(): AsyncGenerator<Buffer> {
    for (const [name, content] of [
      [MANIFEST_NAME, manifest],
      [SIGNATURE_NAME, signature],
    ] as const) {
      yield tarHeader(name, content.length)
      yield content
      yield tarPadding(content.length)
    }
    for (const { digest, sizeBytes } of files.values()) {
      yield tarHeader(blobName(digest), sizeBytes)
      let taken = 0
      for await (const chunk of await blobs.get(blobKey(digest))) {
        taken += (chunk as Buffer).length
        yield chunk as Buffer
      }
      // The header is sent: what follows would be taken for something else.
      if (taken !== sizeBytes)
        throw RegistryErrors.DIGEST_CHANGED({
          model: version.model,
          version: version.version,
          difference: `the blob store has ${taken} bytes for ${digest}, which had ${sizeBytes}`,
        })
      yield tarPadding(sizeBytes)
    }
    yield TAR_END
  }
  return { version, content: Readable.from(pieces(), { objectMode: false }) }
}

/** Throws REGISTRY_PACKAGE_INVALID, REGISTRY_PACKAGE_SIGNER_UNKNOWN, REGISTRY_PACKAGE_UNSIGNED and what a registration throws. */
export async function importVersion(options: PackagesOptions, request: ImportRequest): Promise<Registered> {
  const { registry, blobs, signing } = options
  const { file, scratch, trust, insecureUnsigned = false, as, by } = request
  const reader = await TarReader.open(file)
  try {
    const bytes = await reader.text(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    let signer = ''
    if ((await reader.peek())?.name === SIGNATURE_NAME)
      signer = signerOf(await reader.text(SIGNATURE_NAME, 4096), bytes, [signing.signer, ...trust])
    else if (!insecureUnsigned) throw RegistryErrors.PACKAGE_UNSIGNED({})
    const manifest = readPackageManifest(bytes)
    checkFiles(manifest.files)
    const digests = [...new Set(manifest.files.map(({ digest }) => digest))]
    await mkdir(scratch, { recursive: true })
    const parts = new Map<Digest, string>()
    for (const [i, digest] of digests.entries()) {
      const part = join(scratch, String(i))
      await pipeline(reader.content(blobName(digest)), createWriteStream(part))
      const actual = await fileDigest(part)
      if (actual !== digest)
        throw RegistryErrors.PACKAGE_INVALID({ problem: `a file should be ${digest} and is ${actual}` })
      parts.set(digest, part)
    }
    await reader.end()
    for (const digest of await registry.claimBlobs(manifest.files)) await putFile(blobs, parts.get(digest)!, digest)
    return await registry.registerVersion({ ...registrationFrom(manifest, signer, as), source: 'import', by })
  } finally {
    await reader.close()
    await rm(scratch, { recursive: true, force: true })
  }
}

function signerOf(text: Buffer, manifest: Buffer, trusted: readonly string[]): string {
  let read: { readonly signer?: unknown; readonly signature?: unknown }
  try {
    read = JSON.parse(text.toString('utf8')) as typeof read
  } catch (error) {
    throw RegistryErrors.PACKAGE_INVALID({ problem: 'its signature is no JSON' }, error)
  }
  const { signer, signature } = read
  const isPlain = typeof signer === 'string' && typeof signature === 'string'
  if (
    !isPlain ||
    JSON.stringify({ signer, signature }) !== text.toString('utf8') ||
    !isSignedBy(signer, manifest, signature)
  )
    throw RegistryErrors.PACKAGE_INVALID({ problem: 'its signature does not fit its manifest' })
  if (!trusted.includes(signer)) throw RegistryErrors.PACKAGE_SIGNER_UNKNOWN({ signer })
  return signer
}
