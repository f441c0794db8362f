// Checks a version's gates for an endpoint and keeps the report. Runs in the process that was asked, because gates need its pool.
import { type EndpointName, HeadraceError, parseModelName, toHeadraceError, type VersionRef } from '../../core/index.js'
import type { Actor } from '../../decisions/index.js'
import { PathErrors } from '../../path/index.js'
import { GateErrors, type GateReport, type GateResult } from '../../release/index.js'
import type { ServedVersion } from '../../serving/index.js'
import type { App } from '../app.js'
import type { Candidate, Finding, Gate } from './gate.js'
import { GATES } from './gates.js'
import { settingsDigest } from './open-gates.js'

export interface CheckOptions {
  /** Ends the check with GATE_CANCELLED. */
  readonly signal?: AbortSignal
  readonly progress?: (step: string, done: number, total: number) => void
  /** Who starts a release with it: not one of four eyes. */
  readonly startedBy?: Actor
  /** Only these gates; what is left out is named as not checked, and the report is not kept. */
  readonly only?: readonly string[]
}

const WAKE_MS = 60_000

/**
 * Checks every gate of an endpoint for a version. A gate that fails, or throws, makes a report that did not pass; it rejects only with
 * GATE_NOT_FOUND, PATH_ENDPOINT_NOT_FOUND, GATE_VERSION_NOT_FOUND, GATE_ENDPOINT_OTHER_MODEL, GATE_VERSION_CHANGED, GATE_CANCELLED and errors of the metadata store.
 *
 * @example
 * const report = await checkVersion(app, { model: parseModelName('fraud'), version: 4 }, 'fraud')
 */
export async function checkVersion(
  app: App,
  ref: VersionRef,
  endpoint: string = ref.model,
  options: CheckOptions = {},
): Promise<GateReport> {
  const { clock } = app.platform
  const startedMs = clock.monotonicMs()
  const signal = options.signal ?? new AbortController().signal
  const progress = options.progress ?? (() => undefined)
  expectGates(options.only ?? [])
  expectEndpoint(app, ref, endpoint)
  await expectVersion(app, ref)
  await wakeChampion(app, ref, endpoint)
  const champion = championOf(app, ref, endpoint)
  const candidate: Candidate = {
    app,
    ref,
    endpoint: endpoint as EndpointName,
    settings: app.project.config.endpoints[endpoint]?.gates,
    ...champion,
    startedBy: options.startedBy,
    signal,
    progress,
    served: undefined,
  }
  const results: GateResult[] = []
  let missing: string | undefined
  for (const [i, gate] of GATES.entries()) {
    if (signal.aborted) throw GateErrors.CANCELLED({ what: 'check' })
    if (options.only !== undefined && !options.only.includes(gate.name) && !gate.isNeeded) {
      results.push(skipped(gate, 'It was left out of this check.'))
      continue
    }
    if (missing !== undefined) {
      results.push(skipped(gate, `It needs "${missing}", which failed.`))
      continue
    }
    progress(gate.name, i, GATES.length)
    const found = await run(gate, candidate)
    results.push(...found)
    if (gate.isNeeded && found.some(({ verdict }) => verdict === 'failed')) missing = gate.name
  }
  progress('done', GATES.length, GATES.length)
  const digest = candidate.served?.digest ?? null
  if (digest !== null && app.pool.get(ref)?.digest !== digest) throw GateErrors.VERSION_CHANGED({ ...ref })
  const failed = results.filter(({ verdict }) => verdict === 'failed')
  const report: GateReport = {
    endpoint,
    model: ref.model,
    version: ref.version,
    digest,
    champion: champion.champion ? { version: champion.champion.ref.version, digest: champion.champion.digest } : null,
    passed: failed.length === 0,
    awaitsApproval:
      failed.length > 0 && failed.every(({ gate, evidence }) => gate === 'approvals' && evidence['rejected'] === false),
    results,
    notChecked: [
      ...results.filter(({ verdict }) => verdict === 'skipped').map(({ gate, summary }) => `${gate}: ${summary}`),
      ...(isOpen(app, ref, endpoint)
        ? [
            `The route of endpoint "${endpoint}" says latest: versions that are pushed take its traffic without gates. Name a number or an alias there.`,
          ]
        : []),
    ],
    settings: settingsDigest(app.project, endpoint),
    checkedMs: clock.nowMs(),
    durationMs: Math.round(clock.monotonicMs() - startedMs),
  }
  if (options.only === undefined) await app.services.gates.save(report)
  return report
}

/** `fraud@4` or `fraud/4`. Throws GATE_VERSION_NOT_NAMED for what is neither. */
export function parseVersion(text: string): VersionRef {
  const [, name, version] = /^(.+)[@/]v?(\d{1,9})$/.exec(text) ?? []
  const model = parseModelName(name ?? '')
  if (model === undefined || Number(version) === 0) throw GateErrors.VERSION_NOT_NAMED({ text: text.slice(0, 200) })
  return { model, version: Number(version) }
}

/** A gate that is spelt wrong would be left out, and the check pass without it. */
function expectGates(only: readonly string[]): void {
  const known = GATES.map(({ name }) => name)
  const unknown = only.find((name) => !known.includes(name))
  if (unknown !== undefined) throw GateErrors.NOT_FOUND({ gate: unknown.slice(0, 100), known })
}

/** Of an endpoint that is spelt wrong nothing is configured. The one of the model's name comes with the first version that is served. */
function expectEndpoint(app: App, { model }: VersionRef, name: string): void {
  if (name === model || app.endpoints.plain(name) !== undefined) return
  throw PathErrors.ENDPOINT_NOT_FOUND({ name: name.slice(0, 128), known: app.endpoints.list().map((one) => one.name) })
}

/** Throws GATE_VERSION_NOT_FOUND, with the versions that there are. */
export async function expectVersion(app: App, ref: VersionRef): Promise<void> {
  const known = (await app.source.list()).filter(({ model }) => model === ref.model).map(({ version }) => version)
  if (!known.includes(ref.version) && app.pool.status(ref) === undefined)
    throw GateErrors.VERSION_NOT_FOUND({ model: ref.model, version: String(ref.version), known })
}

/** One that nobody has called yet may rest; when it cannot be loaded, there is no champion. */
async function wakeChampion(app: App, { model }: VersionRef, name: string): Promise<void> {
  const leaves = app.endpoints.list().find((endpoint) => endpoint.name === name)?.route.leaves ?? []
  for (const leaf of leaves) if (leaf.model === model) await app.versions.wake(leaf, WAKE_MS)?.catch(() => undefined)
}

/** The version of the model that the endpoint's callers get now. Throws GATE_ENDPOINT_OTHER_MODEL. */
export function championOf(
  app: App,
  ref: VersionRef,
  name: string,
): { readonly champion: ServedVersion | undefined; readonly noChampion: string } {
  const endpoint = app.endpoints.list().find((candidate) => candidate.name === name)
  if (endpoint === undefined)
    return {
      champion: undefined,
      noChampion: `Endpoint "${name}" does not exist yet, so there is nothing to compare with.`,
    }
  const leaves = endpoint.route.leaves.filter(({ model }) => model === ref.model)
  if (leaves.length === 0) {
    const models = [...new Set(endpoint.route.leaves.map(({ model }) => model))]
    throw GateErrors.ENDPOINT_OTHER_MODEL({ endpoint: name, model: ref.model, models })
  }
  let isItself = false
  for (const leaf of leaves) {
    const champion = app.versions.there(leaf)
    if (champion === undefined) continue
    if (champion.ref.version !== ref.version) return { champion, noChampion: '' }
    isItself = true
  }
  const noChampion = isItself
    ? 'It serves the endpoint already, so there is nothing else to compare with.'
    : `No version of ${ref.model} serves endpoint "${name}" now, so there is nothing to compare with.`
  return { champion: undefined, noChampion }
}

/** Whether a new version takes the endpoint's traffic although the endpoint has gates. */
function isOpen({ project, endpoints }: App, { model }: VersionRef, name: string): boolean {
  const leaves = endpoints.list().find((endpoint) => endpoint.name === name)?.route.leaves ?? []
  const hasGates = project.config.endpoints[name]?.gates !== undefined
  return hasGates && leaves.some((leaf) => leaf.model === model && leaf.version === 'latest')
}

async function run(gate: Gate, candidate: Candidate): Promise<GateResult[]> {
  const { clock, logger } = candidate.app.platform
  const startedMs = clock.monotonicMs()
  let findings: readonly Finding[]
  try {
    findings = await gate.check(candidate)
  } catch (thrown) {
    const error = toHeadraceError(thrown)
    if (candidate.signal.aborted || error.code === 'GATE_CANCELLED') throw GateErrors.CANCELLED({ what: 'check' })
    const known = thrown instanceof HeadraceError
    if (!known) logger.error({ err: thrown, gate: gate.name, ...candidate.ref }, 'a gate failed by an error')
    findings = [{ verdict: 'failed', summary: error.message, evidence: { code: error.code } }]
  }
  const durationMs = Math.round(clock.monotonicMs() - startedMs)
  return findings.map(({ gate: name = gate.name, verdict, summary, evidence = {} }) => ({
    gate: name,
    verdict,
    summary,
    evidence,
    durationMs,
  }))
}

function skipped({ name }: Gate, summary: string): GateResult {
  return { gate: name, verdict: 'skipped', summary, evidence: {}, durationMs: 0 }
}
