// Makes a training set: labels → one part per view → on-demand features → one file. Each step is a checkpoint; parts are in the order of
// the labels, so that they are laid side by side at the end instead of joined.
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { HeadraceError, type Platform } from '../../core/index.js'
import type { CompiledService, CompiledView, ServiceFeature } from '../compiled.js'
import { FeatureErrors } from '../errors.js'
import type { ValueType } from '../value.js'
import { planSql } from './as-of-sql.js'
import { type Checkpoints, digestOf, filesIdentity, openCheckpoints, sourcesIdentity } from './checkpoints.js'
import type { Duck } from './duck.js'
import { featureSql, type Joined, joinedSql, type Part } from './joined.js'
import { invalid, type Labels, labelsOf, spoolLabels } from './labels.js'
import { computeOnDemand } from './on-demand.js'
import { isPostgresLabels, openPostgresJoin, type PostgresJoin } from './postgres-labels.js'
import type { Environment } from './postgres-source.js'
import { prove } from './proof.js'
import { type FileFormat, filesOf, formatOf, type SourceAccess, sentence } from './relation.js'
import { replayWindows } from './replay.js'
import { ident, literal } from './sql-text.js'
import type { TrainingSetReport, TrainingSetRequest } from './types.js'
import { wholeRelation } from './whole-relation.js'

/**
 * Parts are read once and thrown away. Numbers are written as they are: looking for repetitions costs more than the writing (1.5 against 0.9 s of
 * CPU for 1.5 million rows of 5 doubles, 2026-11-22). Text may repeat so much that it pays.
 */
function partForm(view: CompiledView): string {
  const isPlain = view.features.every(({ type }) => NUMBERS.has(type))
  return `(FORMAT parquet, ${isPlain ? 'COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 1' : 'COMPRESSION lz4_raw'})`
}

const NUMBERS: ReadonlySet<ValueType> = new Set<ValueType>([
  'float64',
  'float32',
  'int64',
  'int32',
  'bool',
  'timestamp',
])

export async function makeTrainingSet(
  access: SourceAccess,
  platform: Platform,
  tempFolder: string,
  environment: Environment,
  request: TrainingSetRequest,
): Promise<TrainingSetReport> {
  if (!isPostgresLabels(request.labels)) return makeFrom(access, platform, tempFolder, undefined, request)
  const join = await openPostgresJoin(environment, request.labels, request.service.views)
  try {
    return await makeFrom(access, platform, tempFolder, join, request)
  } finally {
    await join.close().catch(() => undefined)
  }
}

async function makeFrom(
  access: SourceAccess,
  platform: Platform,
  tempFolder: string,
  there: PostgresJoin | undefined,
  request: TrainingSetRequest,
): Promise<TrainingSetReport> {
  const startMs = platform.clock.monotonicMs()
  const { duck } = access
  const { service, resume = true, proofRows = 0 } = request
  const out = isAbsolute(request.out) ? request.out : join(access.root, request.out)
  const ending = formatOf(out)
  if (ending === undefined) throw invalid(`"${request.out}" is to end in .parquet, .csv, .json, .ndjson or .jsonl.`)
  const format: FileFormat = ending
  const timeColumn = request.timeColumn ?? 'event_timestamp'
  const total = service.views.length + 2 + (service.onDemand.length > 0 ? 1 : 0) + (proofRows > 0 ? 1 : 0)
  let done = 0
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    request.signal?.throwIfAborted()
    request.onProgress?.({ step: name, done, total })
    const result = await failingAs(name, work)
    done++
    return result
  }

  await duck.run('SET preserve_insertion_order = false')
  const labelFiles = there ? [] : await filesOf(duck, access.root, request.labels)
  await checkOut(access, service, labelFiles, out)
  const labelsIdentity = there ? platform.ids.next() : await filesIdentity(labelFiles)
  const labelsDigest = digestOf(
    labelsIdentity,
    timeColumn,
    service.keys,
    service.request.map(({ name }) => name),
  )
  const run = digestOf(labelsDigest, service.name, out)
  const isResumable = resume && there === undefined
  const checkpoints = await openCheckpoints(platform, tempFolder, run, isResumable)
  try {
    return await stepByStep()
  } catch (error) {
    // Nobody would find them again.
    if (!isResumable) await checkpoints.clear()
    throw error
  }

  async function stepByStep(): Promise<TrainingSetReport> {
    const labels = await step('labels', () => keepLabels(access, there, checkpoints, request, timeColumn, labelsDigest))
    checkNames(service, labels, request.withTimes === true)

    const parts: Part[] = []
    for (const view of service.views) {
      const part = await step(view.name, async () => {
        const digest = digestOf(
          labelsDigest,
          view.fingerprint,
          view.source,
          view.stream,
          featuresOf(view),
          await sourcesIdentity(access, platform, view),
        )
        const file = await checkpoints.keep(view.name, digest, (to) => makePart(access, there, view, labels, to))
        return { view, alias: `p${parts.length}`, file }
      })
      parts.push(part)
    }
    const whole: Joined = { labels, parts, computed: undefined }
    if (service.onDemand.length > 0) {
      whole.computed = await step('on-demand', () => {
        const file = `${parts.length}-on-demand`
        return checkpoints.keep(file, digestOf(platform.ids.next()), (to) => computeOnDemand(duck, service, whole, to))
      })
    }
    const proof =
      proofRows > 0
        ? await step('proof', () =>
            prove(access, service, whole, { rows: Math.min(proofRows, labels.rows), random: platform.random }),
          )
        : undefined
    const features = await step('output', () => write(duck, platform, request, service, whole, out, format))
    await checkpoints.clear()
    request.onProgress?.({ step: 'done', done: total, total })
    return {
      rows: labels.rows,
      out,
      elapsedMs: platform.clock.monotonicMs() - startMs,
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
      features,
      proof,
    }
  }
}

async function keepLabels(
  access: SourceAccess,
  there: PostgresJoin | undefined,
  checkpoints: Checkpoints,
  request: TrainingSetRequest,
  timeColumn: string,
  digest: string,
): Promise<Labels> {
  const { keys, request: inputs } = request.service
  const wanted = { path: request.labels, timeColumn, keys, request: inputs }
  const isThere = await checkpoints.has('labels', digest)
  let labels: Labels | undefined
  const file = await checkpoints.keep('labels', digest, async (to) => {
    labels = await (there?.spoolLabels(access.duck, wanted, to) ??
      spoolLabels(access.duck, access.root, wanted, to, false))
  })
  if (isThere || labels === undefined) return spoolLabels(access.duck, access.root, wanted, file, true)
  return { ...labels, sql: `read_parquet(${literal(file)})` }
}

async function makePart(
  access: SourceAccess,
  there: PostgresJoin | undefined,
  view: CompiledView,
  labels: Labels,
  to: string,
): Promise<void> {
  const { duck } = access
  const of = labelsOf(labels, view.keys)
  let select: string
  if (there?.has(view)) {
    select = await there.part(duck, view, labels)
  } else if (view.kind === 'rows') {
    select = planSql('duckdb', { labels: of, relation: await wholeRelation(access, view), ttlMs: view.ttlMs })
  } else {
    await replayWindows(duck, view, { labels: of, relation: await wholeRelation(access, view), into: 'replayed' })
    const values = view.features.map((_, i) => `, r.v${i}`).join('')
    select = `SELECT l.rid, r.e${values} FROM ${of} AS l LEFT JOIN replayed AS r ON l.rid = r.rid`
  }
  await duck.run(`COPY (SELECT * FROM (${select}) ORDER BY rid) TO ${literal(to)} ${partForm(view)}`)
  for (const table of ['replayed', 'joined_there']) await duck.run(`DROP TABLE IF EXISTS ${table}`)
}

/** What a training set is made of is not what it replaces. */
async function checkOut(
  { duck, root }: SourceAccess,
  service: CompiledService,
  labelFiles: readonly string[],
  out: string,
): Promise<void> {
  const refuse = (what: string) => invalid(`"${out}" holds ${what}, which it would replace; write to another file.`)
  const is = (files: readonly string[]) => files.some((file) => resolve(file) === resolve(out))
  if (is(labelFiles)) throw refuse('the labels')
  for (const { source } of service.views) {
    if (source?.kind !== 'file') continue
    if (is(await filesOf(duck, root, source.path).catch(() => []))) throw refuse(`rows of source "${source.name}"`)
  }
}

async function write(
  duck: Duck,
  platform: Platform,
  request: TrainingSetRequest,
  service: CompiledService,
  joined: Joined,
  out: string,
  format: string,
): Promise<TrainingSetReport['features']> {
  const computed = service.features.filter(({ from }) => from.kind === 'on-demand')
  const featureOf = (feature: ServiceFeature): string =>
    feature.from.kind === 'view'
      ? featureSql(joined.parts, feature.from.view, feature.from.index, feature.fallback)
      : `o.o${computed.indexOf(feature)}`
  const select = joined.labels.columns.map(({ name }, i) => `l.c${i} AS ${ident(name)}`)
  for (const feature of service.features) {
    select.push(`${outSql(featureOf(feature), feature.type)} AS ${ident(feature.name)}`)
    if (request.withTimes === true && feature.from.kind === 'view') {
      const { view } = feature.from
      const { alias } = joined.parts.find((part) => part.view === view)!
      select.push(`${outSql(`${alias}.e`, 'timestamp')} AS ${ident(timeName(feature.name))}`)
    }
  }
  await mkdir(dirname(out), { recursive: true })
  const unfinished = `${out}.${platform.ids.next()}.new`
  const whole = format === 'parquet' ? unfinished : `${unfinished}.parquet`
  try {
    await duck.run('SET preserve_insertion_order = true')
    await duck.run(`COPY (SELECT ${select.join(', ')} ${joinedSql(joined)}) TO ${literal(whole)} (FORMAT parquet)`)
    const counts = service.features.map(({ name }) => `count(*) - count(${ident(name)})`)
    const [row] = await duck.rows(`SELECT ${['count(*)', ...counts].join(', ')} FROM read_parquet(${literal(whole)})`)
    if (Number(row![0]) !== joined.labels.rows) {
      throw new Error(`${row![0]} rows were put together of ${joined.labels.rows} labels.`)
    }
    if (format !== 'parquet') {
      const how =
        format === 'csv' ? `(FORMAT csv, HEADER${/\.tsv$/.test(out) ? `, DELIMITER '\t'` : ''})` : jsonForm(out)
      await duck.run(`COPY (SELECT * FROM read_parquet(${literal(whole)})) TO ${literal(unfinished)} ${how}`)
    }
    request.signal?.throwIfAborted()
    await rename(unfinished, out)
    return service.features.map(({ name }, i) => ({ name, nulls: Number(row![i + 1]) }))
  } finally {
    await rm(unfinished, { force: true })
    await rm(whole, { force: true })
  }
}

const jsonForm = (out: string) => `(FORMAT json${out.toLowerCase().endsWith('.json') ? ', ARRAY true' : ''})`

/** Timestamps leave as such; everything else as it is. */
function outSql(value: string, type: ValueType): string {
  return type === 'timestamp' ? `make_timestamptz(${value} * 1000)` : value
}

const timeName = (feature: string) => `${feature}__event_timestamp`

function featuresOf(view: CompiledView): unknown {
  return view.features.map(({ name, type }) => [name, type])
}

function checkNames(service: CompiledService, labels: Labels, withTimes: boolean): void {
  const taken = new Set(labels.columns.map(({ name }) => name.toLowerCase()))
  const written = service.features.flatMap(({ name }) => (withTimes ? [name, timeName(name)] : [name]))
  const clash = written.find((name) => taken.has(name.toLowerCase()))
  if (clash !== undefined) {
    throw invalid(
      `The labels have a column "${clash}", as a feature of "${service.name}" is called. Rename it there, or drop it.`,
    )
  }
}

/** A step's failure that nobody foresaw, as one with a code. */
async function failingAs<T>(step: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof HeadraceError || (error instanceof Error && error.name === 'AbortError')) throw error
    throw FeatureErrors.TRAINING_SET_FAILED({ step, reason: sentence(error) }, error)
  }
}
