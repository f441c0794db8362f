// `headrace models` for registered versions: comparing, finding, deleting, collecting, and versions as files.
import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import type { AliasChange, GcReport, RegisteredVersion, VersionDiff } from '../registry/index.js'
import { type Faces, type GlobalOptions, withApi } from './context.js'
import { CliErrors } from './errors.js'
import { readInput } from './input-file.js'
import { globalOptions, wholeNumber } from './options.js'
import { print, printJson, shortNumber, table } from './output.js'
import { unwritable } from './output-file.js'

const REF = 'fraud@4, fraud@champion, or a model for its newest version'

export function addRegistered(models: Command, faces: Faces): void {
  models
    .command('diff')
    .argument('<from>', REF)
    .argument('<to>', REF)
    .description(
      'what differs between two versions: signature (and whether that breaks callers), metrics, lineage, files, card',
    )
    .addHelpText('after', '\nExample:\n  headrace models diff fraud@champion fraud@4\n')
    .action(async (from: string, to: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const query = new URLSearchParams({ from, to })
      const diff = await withApi(faces, options, { loads: false }, (api) =>
        api.json<VersionDiff>('GET', `/api/v1/registry/diff?${query}`),
      )
      if (options.json) printJson(diff)
      else print(diffText(diff))
    })

  models
    .command('search')
    .argument('[text]', 'part of the name of a model')
    .option('--tag <key=value>', 'again for more; all must hold', collect, [])
    .option('--metric <comparison>', 'such as "auc>0.9"; again for more', collect, [])
    .option('--owner <name>')
    .option('--team <name>')
    .option('--digest <sha256:…>', 'of the version or of one of its files')
    .option('--run <id>')
    .option('--alias <name>')
    .option('--deleted', 'those that can be restored')
    .option('--limit <number>', 'default 100', wholeNumber)
    .description('registered versions, newest first')
    .addHelpText('after', '\nExample:\n  headrace models search --metric "auc>0.9" --tag stage=trained\n')
    .action(async (text: string | undefined, own: SearchOptions, command: Command) => {
      const options = globalOptions(command)
      const { tag, metric, owner, team, digest, run, alias, deleted, limit } = own
      const query = { text, tag, metric, owner, team, digest, runId: run, alias, isDeleted: deleted, limit }
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ versions: RegisteredVersion[] }>('POST', '/api/v1/registry/search', query),
      )
      if (options.json) return printJson(answer)
      if (answer.versions.length === 0) return print('No version is like that.')
      const rows = answer.versions.map((version) => [
        version.model,
        version.version,
        version.aliases.join(', '),
        version.owner,
        metricsText(version),
        version.digest.slice(0, 19),
        new Date(version.createdMs).toISOString(),
      ])
      print(table(['model', 'version', 'aliases', 'owner', 'metrics', 'digest', 'registered'], rows))
    })

  models
    .command('aliases')
    .argument('<model>')
    .argument('[alias]')
    .description('what the aliases of a model named: when, by whom and why')
    .addHelpText('after', '\nExample:\n  headrace models aliases fraud champion\n')
    .action(async (model: string, alias: string | undefined, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const query = alias === undefined ? '' : `?${new URLSearchParams({ alias })}`
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ changes: AliasChange[] }>(
          'GET',
          `/api/v1/registry/models/${encodeURIComponent(model)}/aliases${query}`,
        ),
      )
      if (options.json) return printJson(answer)
      const rows = answer.changes.map(({ alias, version, timeMs, by, reason }) => [
        alias,
        version ?? 'removed',
        new Date(timeMs).toISOString(),
        by.name,
        reason ?? '',
      ])
      print(table(['alias', 'version', 'when', 'by', 'why'], rows))
    })

  models
    .command('card')
    .argument('<version>', REF)
    .argument('[file]', 'Markdown to put in its place')
    .description('read or write the model card of a version')
    .addHelpText('after', '\nExample:\n  headrace models card fraud@4 CARD.md\n')
    .action(async (ref: string, file: string | undefined, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const card = file === undefined ? undefined : (await readInput(file)).toString('utf8')
      const version = await withApi(faces, options, { loads: false }, (api) =>
        card === undefined
          ? api.json<RegisteredVersion>('GET', versionPath(ref))
          : api.json<RegisteredVersion>('PATCH', versionPath(ref), { card }),
      )
      if (options.json) printJson({ model: version.model, version: version.version, card: version.card })
      else if (card !== undefined) print(`Wrote the card of ${version.model}/${version.version}.`)
      else print(version.card === '' ? `${version.model}/${version.version} has no card.` : version.card)
    })

  models
    .command('rm')
    .argument('<version>', 'fraud@4')
    .option('--reason <text>', 'kept with the decision')
    .description('delete a version that nothing uses; it can be restored until "headrace models gc" removes it')
    .addHelpText('after', '\nExample:\n  headrace models rm fraud@3 --reason "trained on leaked labels"\n')
    .action(async (ref: string, { reason }: { reason?: string }, command: Command) => {
      const options = globalOptions(command)
      if (!isRef(ref)) usage(`"${ref}" names no version.`, 'headrace models rm --help')
      const version = await withApi(faces, options, { loads: true }, (api) =>
        api.json<RegisteredVersion>('DELETE', versionPath(ref), reason === undefined ? {} : { reason }),
      )
      if (options.json) printJson(version)
      else
        print(
          `Deleted ${version.model}/${version.version}. Take it back with "headrace models restore ${version.model}@${version.version}".`,
        )
    })

  models
    .command('restore')
    .argument('<version>', 'fraud@3')
    .description('take the deletion of a version back')
    .addHelpText('after', '\nExample:\n  headrace models restore fraud@3\n')
    .action(async (ref: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      if (!isRef(ref)) usage(`"${ref}" names no version.`, 'headrace models restore --help')
      const version = await withApi(faces, options, { loads: false }, (api) =>
        api.json<RegisteredVersion>('POST', `${versionPath(ref)}/restore`),
      )
      if (options.json) printJson(version)
      else print(`Restored ${version.model}/${version.version}.`)
    })

  models
    .command('gc')
    .option('--dry-run', 'only say what would go')
    .option('--keep-versions <number>', 'newest versions of each model that stay', wholeNumber)
    .option('--keep-days <number>', 'younger versions stay', wholeNumber)
    .option('--deleted-days <number>', 'how long deleted versions stay restorable', wholeNumber)
    .description('delete what retention does not keep, and free the files of what was deleted')
    .addHelpText('after', '\nExample:\n  headrace models gc --dry-run --keep-versions 10\n')
    .action(async (own: GcOptions, command: Command) => {
      const options = globalOptions(command)
      const { dryRun, keepVersions, keepDays, deletedDays } = own
      const report = await withApi(faces, options, { loads: true }, (api) =>
        api.json<GcReport>('POST', '/api/v1/registry/gc', { isDryRun: dryRun, keepVersions, keepDays, deletedDays }),
      )
      if (options.json) printJson(report)
      else print(gcText(report))
    })

  addPackages(models, faces)
}

function addPackages(models: Command, faces: Faces): void {
  models
    .command('export')
    .argument('<version>', REF)
    .argument('<file>', 'where to; it must not be there yet')
    .description('write a version with its files and all that is known of it as one signed file')
    .addHelpText('after', '\nExample:\n  headrace models export fraud@4 fraud-4.tar\n')
    .action(async (ref: string, file: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const signer = await withApi(faces, options, { loads: false }, async (api) => {
        const response = await api.request('GET', `${versionPath(ref)}/package`)
        const output = createWriteStream(file, { flags: 'wx' })
        try {
          await pipeline(Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]), output)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).syscall === 'open')
            throw unwritable(file, error as NodeJS.ErrnoException)
          await rm(file, { force: true })
          throw error
        }
        return (await api.json<{ signer: string }>('GET', '/api/v1/registry/key')).signer
      })
      if (options.json) printJson({ file, signer })
      else print(`Wrote ${file}, signed by ${signer}.`)
    })

  models
    .command('import')
    .argument('<file>', 'what "headrace models export" wrote')
    .option('--trust <key>', 'public key of who signed it; again for more', collect, [])
    .option('--as <model>', 'under another name')
    .option('--insecure-unsigned', 'take a file without a signature')
    .description('register a version from an exported file; a changed byte or a signer nobody trusts refuses it')
    .addHelpText('after', '\nExample:\n  headrace models import fraud-4.tar --trust ed25519:…\n')
    .action(async (file: string, own: ImportOptions, command: Command) => {
      const options = globalOptions(command)
      const query = new URLSearchParams()
      if (own.trust.length > 0) query.set('trust', own.trust.join(','))
      if (own.as !== undefined) query.set('as', own.as)
      if (own.insecureUnsigned) query.set('insecureUnsigned', 'true')
      const { version, isNew } = await withApi(faces, options, { loads: false }, async (api) => {
        const body = Readable.toWeb(await openInput(file)) as ReadableStream
        const init = { body, duplex: 'half', headers: { 'Content-Type': 'application/x-tar' } }
        const response = await api.request('POST', `/api/v1/registry/packages?${query}`, init as RequestInit)
        return (await response.json()) as { version: RegisteredVersion; isNew: boolean }
      })
      if (options.json) printJson({ version, isNew })
      else if (isNew) print(`Imported ${version.model}/${version.version} (${version.digest}).`)
      else print(`${version.model}/${version.version} is that already (${version.digest}).`)
    })

  models
    .command('key')
    .description('the public key that this server signs exported versions with')
    .addHelpText('after', '\nExample:\n  headrace models key\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ signer: string }>('GET', '/api/v1/registry/key'),
      )
      if (options.json) printJson(answer)
      else print(answer.signer)
    })
}

interface SearchOptions {
  readonly tag: readonly string[]
  readonly metric: readonly string[]
  readonly owner?: string
  readonly team?: string
  readonly digest?: string
  readonly run?: string
  readonly alias?: string
  readonly deleted?: true
  readonly limit?: number
}

interface GcOptions {
  readonly dryRun?: true
  readonly keepVersions?: number
  readonly keepDays?: number
  readonly deletedDays?: number
}

interface ImportOptions {
  readonly trust: readonly string[]
  readonly as?: string
  readonly insecureUnsigned?: true
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

/** Whether a text names one version and not a model. */
export function isRef(text: string): boolean {
  return /^.+[@/][^@/]+$/.test(text)
}

export async function describeVersion(faces: Faces, ref: string, options: GlobalOptions): Promise<void> {
  const version = await withApi(faces, options, { loads: false }, (api) =>
    api.json<RegisteredVersion>('GET', versionPath(ref)),
  )
  if (options.json) printJson(version)
  else print(versionText(version))
}

function versionPath(ref: string): string {
  const match = /^(.+)[@/]([^@/]+)$/.exec(ref)
  const [model, selector] = match ? [match[1]!, match[2]!] : [ref, 'latest']
  return `/api/v1/registry/models/${encodeURIComponent(model)}/versions/${encodeURIComponent(selector)}`
}

function openInput(file: string): Promise<Readable> {
  return new Promise((resolve, reject) => {
    const stream = createReadStream(file)
    stream.once('open', () => resolve(stream))
    stream.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'ENOENT' ? 'there is no such file' : error.message
      reject(CliErrors.FILE_UNREADABLE({ file, reason }, error))
    })
  })
}

function versionText(version: RegisteredVersion): string {
  const { model, servableName, digest, sizeBytes, isServable, reason, deletedMs, createdBy, createdMs, lineage } =
    version
  const lines = [`${model}/${version.version}${version.aliases.map((alias) => ` @${alias}`).join('')}`]
  const add = (title: string, text: string) => {
    if (text !== '') lines.push(`  ${title.padEnd(12)} ${text}`)
  }
  if (servableName !== model) add('served as', servableName)
  if (deletedMs !== null) add('deleted', new Date(deletedMs).toISOString())
  add('description', version.description)
  add('digest', digest)
  add('servable', isServable ? 'yes' : `no: ${reason}`)
  add('owner', [version.owner, version.team].filter((text) => text !== '').join(', '))
  add('tags', pairsText(version.tags))
  add('metrics', metricsText(version))
  add('source', version.source)
  for (const [field, value] of Object.entries(lineage))
    add(field, typeof value === 'string' ? value : JSON.stringify(value))
  for (const [title, specs] of [
    ['inputs', version.signature?.inputs],
    ['outputs', version.signature?.outputs],
  ] as const)
    for (const { name, datatype, shape } of specs ?? [])
      add(title, `${name}  ${datatype}${shape === null ? '' : ` [${shape.join(', ')}]`}`)
  for (const { path, sizeBytes: bytes, digest: file } of version.files)
    add('file', `${path}  ${sizeText(bytes)}  ${file}`)
  add('size', sizeText(sizeBytes))
  add('registered', `${new Date(createdMs).toISOString()} by ${createdBy.name}`)
  for (const notice of version.notices) add('notice', notice)
  return lines.join('\n')
}

function diffText({
  from,
  to,
  signature,
  metrics,
  files,
  lineage,
  manifest,
  featureService,
  card,
}: VersionDiff): string {
  const lines = [`${from.model}/${from.version} → ${to.model}/${to.version}`]
  const section = (title: string, rows: readonly string[]) => {
    if (rows.length > 0) lines.push('', title, ...rows.map((row) => `  ${row}`))
  }
  section(
    signature.isBreaking ? 'signature: breaks callers' : 'signature: callers go on as before',
    signature.changes.map(({ text, isBreaking }) => `${isBreaking ? 'breaking' : 'fine'}: ${text}`),
  )
  section(
    'metrics',
    metrics.map(
      ({ name, from, to }) =>
        `${name}: ${from === null ? 'none' : numberText(from)} → ${to === null ? 'none' : numberText(to)}`,
    ),
  )
  section('feature service', featureService === null ? [] : [`${featureService.from} → ${featureService.to}`])
  section(
    'model.json',
    manifest.map(({ field, from, to }) => `${field}: ${from ?? 'none'} → ${to ?? 'none'}`),
  )
  section(
    'lineage',
    lineage.map(({ field, from, to }) => `${field}: ${from ?? 'none'} → ${to ?? 'none'}`),
  )
  section(
    'files',
    files.map(({ path, from, to }) => `${from === null ? 'new' : to === null ? 'gone' : 'other'}: ${path}`),
  )
  section('card', card)
  if (lines.length === 1) lines.push('', 'Nothing differs.')
  return lines.join('\n')
}

function gcText({ isDryRun, expired, removed, blobs, freedBytes, keptBlobs, keptBytes }: GcReport): string {
  const list = (refs: GcReport['removed']) => refs.map(({ model, version }) => `${model}/${version}`).join(', ')
  const would = isDryRun ? 'would be ' : ''
  return [
    ...(expired.length > 0 ? [`${would}deleted, and can be restored: ${list(expired)}`] : []),
    ...(removed.length > 0 ? [`${would}removed for good: ${list(removed)}`] : []),
    `${blobs} files ${would}freed, ${sizeText(freedBytes)}; ${keptBlobs} stay, ${sizeText(keptBytes)}.`,
  ].join('\n')
}

function metricsText({ metrics }: RegisteredVersion): string {
  return Object.entries(metrics)
    .slice(0, 5)
    .map(([name, value]) => `${name}=${numberText(value)}`)
    .join(' ')
}

/** NaN and infinities come as text. */
function numberText(value: number): string {
  return typeof value === 'number' ? shortNumber(value) : String(value)
}

function pairsText(pairs: Readonly<Record<string, string>>): string {
  return Object.entries(pairs)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')
}

function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1]}`
}

function usage(problem: string, help: string): never {
  throw CliErrors.USAGE({ problem, help })
}
