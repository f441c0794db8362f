// What a package says of the version in it. The manifest names every file by digest, and the signature is over the manifest: so it is
// over everything.
import { z } from 'zod'
import { type Digest, parseDigest } from '../../core/index.js'
import { RegistryErrors } from '../errors.js'
import { metricsFromText, metricsToText } from '../registered-checks.js'
import { type RegisteredVersion, type Registration, STAGES } from '../service.js'

export const FORMAT = 'headrace-version/1'
export const MANIFEST_NAME = 'manifest.json'
export const SIGNATURE_NAME = 'signature.json'
export const MAX_MANIFEST_BYTES = 32 * 1024 * 1024

export function blobName(digest: Digest): string {
  return `blobs/${digest.replace(':', '-')}`
}

const tags = z.record(z.string(), z.string())
const column = z.strictObject({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.number()).nullable(),
  isOptional: z.boolean().optional(),
})

const manifest = z.strictObject({
  format: z.literal(FORMAT),
  exportedMs: z.number(),
  model: z.string(),
  version: z.int().positive(),
  digest: z.string(),
  files: z.array(
    z.strictObject({
      path: z.string(),
      digest: z.custom<Digest>((value) => typeof value === 'string' && parseDigest(value) !== undefined),
      sizeBytes: z.int().nonnegative(),
    }),
  ),
  signature: z.strictObject({ inputs: z.array(column), outputs: z.array(column) }).nullable(),
  lineage: z.strictObject({
    runId: z.string().optional(),
    experimentId: z.string().optional(),
    modelId: z.string().optional(),
    codeVersion: z.string().optional(),
    datasets: z.array(z.strictObject({ name: z.string(), digest: z.string(), role: z.string().optional() })).optional(),
    featureService: z.string().optional(),
    parents: z.array(z.string()).optional(),
    importedFrom: z
      .strictObject({ model: z.string(), version: z.int(), signer: z.string(), exportedMs: z.number() })
      .optional(),
  }),
  metrics: z.string(),
  params: tags,
  card: z.string(),
  description: z.string(),
  owner: z.string(),
  team: z.string(),
  tags,
  stage: z.enum(STAGES),
  runLink: z.string(),
  createdMs: z.number(),
})

export type PackageManifest = z.infer<typeof manifest>

export function manifestOf(version: RegisteredVersion, exportedMs: number): Buffer {
  const { model, digest, files, signature, lineage, params, card, description, owner, team, tags, stage, runLink } =
    version
  const written = {
    format: FORMAT,
    exportedMs,
    model,
    version: version.version,
    digest,
    files,
    signature,
    lineage,
    metrics: metricsToText(version.metrics),
    params,
    card,
    description,
    owner,
    team,
    tags,
    stage,
    runLink,
    createdMs: version.createdMs,
  }
  return Buffer.from(JSON.stringify(written, null, 2))
}

/** Throws REGISTRY_PACKAGE_INVALID. */
export function readPackageManifest(bytes: Buffer): PackageManifest {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw RegistryErrors.PACKAGE_INVALID({ problem: 'its manifest is no JSON' }, error)
  }
  const parsed = manifest.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const at = issue === undefined ? '' : issue.path.join('.')
  throw RegistryErrors.PACKAGE_INVALID({
    problem: `its manifest is not understood at "${at}": ${issue?.message ?? ''}`,
  })
}

export function registrationFrom(
  packaged: PackageManifest,
  signer: string,
  as: string | undefined,
): Omit<Registration, 'by' | 'source'> {
  const { files, lineage, params, card, description, owner, team, tags, runLink, exportedMs } = packaged
  const { model, version } = packaged
  return {
    model: as ?? model,
    files,
    // Absent keys stay absent.
    lineage: JSON.parse(
      JSON.stringify({ ...lineage, importedFrom: { model, version, signer, exportedMs } }),
    ) as NonNullable<Registration['lineage']>,
    metrics: metricsFromText(packaged.metrics),
    params,
    card,
    description,
    owner,
    team,
    tags,
    runLink,
    ...(packaged.signature === null
      ? {}
      : { signature: JSON.parse(JSON.stringify(packaged.signature)) as NonNullable<Registration['signature']> }),
  }
}
