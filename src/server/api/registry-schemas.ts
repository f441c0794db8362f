// The shapes of registered models and versions over HTTP. NaN and infinities, which JSON has no numbers for, are text.
import Type from 'typebox'
import type { RegisteredVersion, Registration, VersionDiff } from '../../registry/index.js'
import { mapOf, orNull, VersionNumber, WITHOUT_NUL } from './schemas.js'

const Text = Type.String({ pattern: WITHOUT_NUL })
const Actor = Type.Object({ kind: Type.Enum(['person', 'rule', 'system']), name: Type.String() })
export const MetricValue = Type.Union([Type.Number(), Type.Enum(['NaN', 'Infinity', '-Infinity'])])
export const RegisteredName = Type.String({
  minLength: 1,
  maxLength: 500,
  pattern: WITHOUT_NUL,
  description: 'Registered name of a model, or the name it is served by',
})
/** A number, an alias, or `latest`. */
export const Selector = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: WITHOUT_NUL,
  description: 'Number, alias or "latest"',
})

export const VersionFile = Type.Object({
  path: Type.String({ description: 'Relative, with "/"' }),
  digest: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
  sizeBytes: Type.Integer({ minimum: 0 }),
})

const Column = Type.Object({
  name: Type.String(),
  datatype: Type.String(),
  shape: Type.Union([Type.Array(Type.Integer()), Type.Null()]),
  isOptional: Type.Optional(Type.Boolean()),
})

const Lineage = Type.Object({
  runId: Type.Optional(Text),
  experimentId: Type.Optional(Text),
  modelId: Type.Optional(Text),
  codeVersion: Type.Optional(Text),
  datasets: Type.Optional(
    Type.Array(Type.Object({ name: Text, digest: Text, role: Type.Optional(Text) }, { additionalProperties: false })),
  ),
  featureService: Type.Optional(Text),
  parents: Type.Optional(Type.Array(Text, { description: 'fraud/3' })),
})

/** What may be said of a version when it is pushed. */
export const Said = {
  description: Type.Optional(Text),
  card: Type.Optional(Type.String({ pattern: WITHOUT_NUL, description: 'Markdown' })),
  owner: Type.Optional(Text),
  team: Type.Optional(Text),
  tags: Type.Optional(mapOf(Text)),
  metrics: Type.Optional(mapOf(MetricValue)),
}

export const SaidAtPush = {
  ...Said,
  lineage: Type.Optional(Type.Object(Lineage.properties, { additionalProperties: false })),
}

export const RegisteredModelView = Type.Object({
  name: Type.String(),
  servableName: Type.String({ description: 'What endpoints and addresses call it' }),
  description: Type.String(),
  owner: Type.String(),
  team: Type.String(),
  tags: mapOf(Type.String()),
  aliases: mapOf(VersionNumber, 'Version numbers by alias'),
  versions: Type.Array(VersionNumber),
  createdMs: Type.Number(),
  updatedMs: Type.Number(),
  createdBy: Actor,
})

export const RegisteredVersionView = Type.Object({
  model: Type.String(),
  servableName: Type.String(),
  version: VersionNumber,
  digest: Type.String({ description: 'SHA-256 of what is served' }),
  files: Type.Array(VersionFile),
  sizeBytes: Type.Integer(),
  isServable: Type.Boolean(),
  reason: orNull('string', { description: 'Why it cannot be served and what to do' }),
  servedFiles: Type.Array(VersionFile),
  manifest: orNull('string', { description: 'Text of the model.json that it is served with' }),
  signature: Type.Union([Type.Object({ inputs: Type.Array(Column), outputs: Type.Array(Column) }), Type.Null()]),
  lineage: Type.Object({
    ...Lineage.properties,
    importedFrom: Type.Optional(
      Type.Object({ model: Type.String(), version: VersionNumber, signer: Type.String(), exportedMs: Type.Number() }),
    ),
  }),
  metrics: mapOf(MetricValue),
  params: mapOf(Type.String()),
  card: Type.String(),
  description: Type.String(),
  owner: Type.String(),
  team: Type.String(),
  tags: mapOf(Type.String()),
  aliases: Type.Array(Type.String()),
  stage: Type.String(),
  source: Type.String(),
  runLink: Type.String(),
  createdMs: Type.Number(),
  updatedMs: Type.Number(),
  createdBy: Actor,
  deletedMs: orNull('number'),
  notices: Type.Array(Type.String()),
})

export const AliasChangeView = Type.Object({
  alias: Type.String(),
  version: orNull('integer'),
  before: orNull('integer'),
  timeMs: Type.Number(),
  by: Actor,
  reason: orNull('string'),
  decision: Type.String(),
})

const Field = Type.Object({ field: Type.String(), from: orNull('string'), to: orNull('string') })
const Ref = Type.Object({ model: Type.String(), version: VersionNumber })
const FileOrNull = Type.Union([VersionFile, Type.Null()])
const MetricOrNull = Type.Union([MetricValue, Type.Null()])

export const DiffView = Type.Object({
  from: Ref,
  to: Ref,
  signature: Type.Object({
    isBreaking: Type.Boolean({ description: 'Callers of the one fail with the other' }),
    changes: Type.Array(Type.Object({ text: Type.String(), isBreaking: Type.Boolean() })),
  }),
  metrics: Type.Array(Type.Object({ name: Type.String(), from: MetricOrNull, to: MetricOrNull })),
  files: Type.Array(Type.Object({ path: Type.String(), from: FileOrNull, to: FileOrNull })),
  lineage: Type.Array(Field),
  manifest: Type.Array(Field),
  featureService: Type.Union([Field, Type.Null()]),
  card: Type.Array(Type.String()),
})

export const GcView = Type.Object({
  isDryRun: Type.Boolean(),
  expired: Type.Array(Ref),
  removed: Type.Array(Ref),
  blobs: Type.Integer(),
  freedBytes: Type.Integer(),
  keptBlobs: Type.Integer(),
  keptBytes: Type.Integer(),
})

export const UploadView = Type.Object({
  id: Type.String(),
  model: Type.String(),
  files: Type.Array(
    Type.Object({ ...VersionFile.properties, offset: Type.Integer({ description: 'Bytes that are there' }) }),
  ),
  expiresMs: Type.Number(),
})

export const RegisteredView = Type.Object({ version: RegisteredVersionView, isNew: Type.Boolean() })

type Value = number | 'NaN' | 'Infinity' | '-Infinity'

export function versionView(version: RegisteredVersion) {
  return { ...version, metrics: Object.fromEntries(Object.entries(version.metrics).map(([k, v]) => [k, asJson(v)])) }
}

export function diffView(diff: VersionDiff) {
  return {
    ...diff,
    metrics: diff.metrics.map(({ name, from, to }) => ({
      name,
      from: from === null ? null : asJson(from),
      to: to === null ? null : asJson(to),
    })),
  }
}

/** What a schema of `mapOf` let through; typebox has no type for it. */
export function tagsFrom<T extends string | null = string>(tags: unknown): Readonly<Record<string, T>> {
  return { ...(tags as Record<string, T> | undefined) }
}

export function metricsFrom(metrics: unknown): NonNullable<Registration['metrics']> {
  return Object.fromEntries(
    Object.entries({ ...(metrics as object | undefined) }).map(([name, value]) => [name, Number(value)]),
  )
}

function asJson(value: number): Value {
  return Number.isFinite(value) ? value : (String(value) as Value)
}
