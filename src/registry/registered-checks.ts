// What may be registered: names, texts and paths come from other people's tools, and end up in tables, addresses and file systems.
import { createHash } from 'node:crypto'
import { type Digest, type ModelName, parseDigest, parseModelName } from '../core/index.js'
import { RegistryErrors } from './errors.js'
import type { Metrics, Registration, Tags, VersionFile } from './service.js'

const MAX_NAME = 500
const MAX_FILES = 10_000
const MAX_PATH = 900
const MAX_CARD = 1024 * 1024
const MAX_TEXT = 100_000
const MAX_ENTRIES = 1000
const MAX_KEY = 500

/** As MLflow has it: any text but `/`, `:` and what hides things. Throws REGISTRY_NAME_INVALID. */
export function checkModelName(name: string): void {
  const problem = nameProblem(name)
  if (problem !== undefined) throw RegistryErrors.MODEL_NAME_INVALID({ name: name.slice(0, 100), problem })
}

function nameProblem(name: string): string | undefined {
  if (name.trim() === '') return 'it is empty'
  if (name.length > MAX_NAME) return `it has ${name.length} characters, and at most ${MAX_NAME} are possible`
  if (/[/:]/.test(name)) return 'it has a "/" or ":", which separate a name from a version'
  if (/[\p{Control}\p{Surrogate}]/u.test(name)) return 'it has characters that cannot be printed'
  return undefined
}

/** The name itself where it is valid for endpoints, else one made from it: readable, and no other name's. */
export function servableNameOf(name: string): ModelName {
  const valid = parseModelName(name)
  if (valid !== undefined) return valid
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 10)
  const readable = name
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[._-]+|[._-]+$/g, '')
    .slice(0, 100)
  return `${readable === '' ? 'model' : readable}-${hash}` as ModelName
}

/** Throws REGISTRY_FILES_INVALID. */
export function checkFiles(files: readonly VersionFile[]): void {
  const refuse = (path: string, problem: string) =>
    RegistryErrors.FILES_INVALID({ path: String(path).slice(0, 200), problem })
  if (files.length > MAX_FILES) throw refuse('', `there are ${files.length}, and at most ${MAX_FILES} are possible`)
  const known = new Set<string>()
  for (const { path, digest, sizeBytes } of files) {
    const problem = pathProblem(path)
    if (problem !== undefined) throw refuse(path, problem)
    // The same file for a file system that ignores case or composes letters.
    const key = path.normalize('NFC').toLowerCase()
    if (known.has(key)) throw refuse(path, 'it is there twice')
    known.add(key)
    if (parseDigest(digest) === undefined) throw refuse(path, 'its digest is no sha256:… of 64 hex digits')
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw refuse(path, 'its size is no number of bytes')
  }
  for (const path of known) {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1))
      if (known.has(path.slice(0, at))) throw refuse(path, 'a folder above it is also a file')
  }
}

/** Why a path could leave its folder or mean something else on another system. */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'its path is empty'
  if (path.length > MAX_PATH) return `its path is longer than ${MAX_PATH} characters`
  if (/[\p{Control}\p{Surrogate}\\]/u.test(path))
    return 'its path has a backslash or a character that cannot be printed'
  const parts = path.split('/')
  if (parts.some((part) => part === '' || part === '.' || part === '..' || /^[A-Za-z]:/.test(part)))
    return 'its path is not a plain one below the version'
  if (parts.some((part) => Buffer.byteLength(part) > 255)) return 'a part of its path is longer than 255 bytes'
  return undefined
}

/** Throws REGISTRY_FIELD_INVALID. */
export function checkText(field: string, text: string, most = MAX_TEXT): void {
  if (text.length > most)
    throw RegistryErrors.FIELD_INVALID({
      field,
      problem: `has ${text.length} characters, and at most ${most} are possible`,
    })
  if (text.includes('\u0000')) throw RegistryErrors.FIELD_INVALID({ field, problem: 'has a NUL character' })
}

export function checkCard(card: string): void {
  checkText('card', card, MAX_CARD)
}

export function checkTags(field: string, tags: Readonly<Record<string, string | null>>): void {
  const entries = Object.entries(tags)
  expectFew(field, entries.length)
  for (const [key, value] of entries) {
    if (key === '') throw RegistryErrors.FIELD_INVALID({ field, problem: 'has an entry without a name' })
    checkText(`${field}: the name of an entry`, key, MAX_KEY)
    if (value !== null) checkText(`${field}.${key.slice(0, 50)}`, value)
  }
}

export function checkMetrics(metrics: Metrics): void {
  const entries = Object.entries(metrics)
  expectFew('metrics', entries.length)
  for (const [name, value] of entries) {
    checkText('metrics: a name', name, MAX_KEY)
    if (typeof value !== 'number')
      throw RegistryErrors.FIELD_INVALID({ field: `metrics.${name.slice(0, 50)}`, problem: 'is no number' })
  }
}

export function checkRegistration(registration: Registration): void {
  const { model, files, source, runLink, lineage, metrics, params, card, description, owner, team, tags } = registration
  checkModelName(model)
  checkFiles(files)
  checkText('source', source)
  checkText('runLink', runLink ?? '')
  checkText('description', description ?? '')
  checkText('owner', owner ?? '', MAX_KEY)
  checkText('team', team ?? '', MAX_KEY)
  checkCard(card ?? '')
  checkTags('tags', tags ?? {})
  checkTags('params', params ?? {})
  checkMetrics(metrics ?? {})
  checkText('lineage', JSON.stringify(lineage ?? {}))
  checkText('signature', JSON.stringify(registration.signature ?? {}), MAX_CARD)
}

/** What makes two versions the same: names and digests of all files, in an order that does not matter. */
export function contentDigest(files: readonly VersionFile[]): Digest {
  const lines = files.map(({ path, digest }) => `${digest} ${path}\n`).sort()
  return `sha256:${createHash('sha256').update(lines.join('')).digest('hex')}` as Digest
}

/** JSON with NaN and infinities, which it has no words for. */
export function metricsToText(metrics: Metrics): string {
  return JSON.stringify(metrics, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  )
}

export function metricsFromText(text: string): Metrics {
  const entries = Object.entries(JSON.parse(text) as Record<string, number | string>)
  return Object.fromEntries(entries.map(([name, value]) => [name, Number(value)]))
}

/** Without keys of undefined, which JSON would drop and comparisons would not. */
export function definedTags(tags: Tags | undefined): Tags {
  return Object.fromEntries(Object.entries(tags ?? {}).filter(([, value]) => value !== undefined))
}

function expectFew(field: string, count: number): void {
  if (count > MAX_ENTRIES)
    throw RegistryErrors.FIELD_INVALID({
      field,
      problem: `has ${count} entries, and at most ${MAX_ENTRIES} are possible`,
    })
}
