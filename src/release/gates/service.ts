// Gates as the process that owns the data folder answers for them: reports, approvals, and changes that would pass by the gates.
import type { Platform, VersionRef } from '../../core/index.js'
import type { Actor, Change, Decision, Decisions, Evidence } from '../../decisions/index.js'
import type { Sql } from '../../store/index.js'
import type { GateSettings } from './config.js'
import { countApprovals } from './count-approvals.js'
import { GateErrors } from './errors.js'
import { actorText, approving, listReports, readApprovals, readReport, saveReport, standing } from './store.js'
import type { Approval, GateReport } from './types.js'

/** An endpoint that has gates, and the leaves through which traffic reaches versions. */
export interface GatedEndpoint {
  readonly name: string
  readonly settings: GateSettings
  /** Of the configuration that the report must be of. */
  readonly settingsDigest: string
  readonly leaves: readonly {
    readonly model: string
    readonly version: number | 'latest' | { readonly alias: string }
  }[]
}

export interface Verdict {
  readonly verdict: Approval['verdict']
  readonly endpoint: string
  readonly ref: VersionRef
  readonly comment: string | undefined
  /** The caller's; null where no keys exist. */
  readonly role: string | null
}

export interface GateService {
  save(report: GateReport): Promise<void>
  report(endpoint: string, model: string, version: number): Promise<GateReport | undefined>
  /** Newest first, at most 100. */
  reports(query: { readonly endpoint?: string; readonly model?: string }): Promise<GateReport[]>
  /** Of a content for an endpoint: new content needs new approvals. */
  approvals(endpoint: string, ref: VersionRef, digest: string): Promise<Approval[]>
  /** Throws GATE_VERSION_NOT_FOUND, GATE_APPROVER_IS_AUTHOR. */
  decide(verdict: Verdict, by: Actor): Promise<Decision>
  /** People who brought a version in, as far as decisions say. */
  authors(ref: VersionRef): Promise<Actor[]>
  /** Throws GATE_NOT_PASSED for a change that would give traffic to a version without a passing report; `evidence.forced` lets it through. */
  checkChange(change: Change, evidence: Evidence, by: Actor): Promise<void>
}

export interface GateServiceOptions {
  readonly sql: Sql
  readonly platform: Platform
  readonly decisions: Pick<Decisions, 'list'>
  readonly decide: (change: Change, evidence: Evidence, by: Actor) => Promise<Decision>
  readonly digestOf: (ref: VersionRef) => string | undefined
  readonly knownVersions: (model: string) => readonly number[]
  readonly aliasOf: (model: string, alias: string) => number | undefined
  /** As they are now: decisions point endpoints elsewhere. */
  readonly gated: () => readonly GatedEndpoint[]
}

/** Decisions by which a version comes in. */
const BRINGING: ReadonlySet<string> = new Set(['version.seen', 'version.register'])

export function createGateService(options: GateServiceOptions): GateService {
  const { sql, platform, decisions } = options

  async function authors({ model, version }: VersionRef): Promise<Actor[]> {
    const found = await decisions.list({ subject: `${model}/${version}`, limit: 100 })
    const people = found
      .filter(({ by, change }) => by.kind === 'person' && BRINGING.has(change.kind))
      .map(({ by }) => by)
    return [...new Map(people.map((by) => [actorText(by), by])).values()]
  }

  return {
    save: (report) => saveReport(sql, report),
    report: (endpoint, model, version) => readReport(sql, endpoint, model, version),
    reports: (query) => listReports(sql, query),
    authors,
    async approvals(endpoint, ref, digest) {
      const rows = await readApprovals(sql, endpoint, ref.model, digest)
      return Promise.all(
        rows.map(async (row) => {
          const subject = `${ref.model}/${ref.version}@${endpoint}:${actorText(row.by)}`
          const decision = standing(await decisions.list({ subject, limit: 20 }))
          return { ...row, decision: decision?.id ?? '' }
        }),
      )
    },
    async decide({ verdict, endpoint, ref, comment, role }, by) {
      const digest = options.digestOf(ref)
      if (digest === undefined)
        throw GateErrors.VERSION_NOT_FOUND({
          model: ref.model,
          version: String(ref.version),
          known: options.knownVersions(ref.model),
        })
      const settings = options.gated().find(({ name }) => name === endpoint)?.settings
      if (verdict === 'approved' && settings?.approvals?.fourEyes) {
        const isAuthor = (await authors(ref)).some((author) => actorText(author) === actorText(by))
        if (isAuthor) throw GateErrors.APPROVER_IS_AUTHOR({ name: by.name, did: 'pushed' })
      }
      const detail = {
        endpoint,
        model: ref.model,
        version: ref.version,
        digest,
        by: actorText(by),
        role,
        comment: comment ?? null,
        timeMs: platform.clock.nowMs(),
      }
      return options.decide(approving(verdict, detail), comment === undefined ? {} : { comment }, by)
    },
    async checkChange(change, evidence, by) {
      if (evidence['forced'] === true) {
        if (typeof evidence['reason'] !== 'string') throw GateErrors.REASON_NEEDED()
        return
      }
      for (const { endpoint, model, version, settings, settingsDigest } of touched(change, options)) {
        const reasons = await whyNot({ model, version } as VersionRef, endpoint, settings, settingsDigest, by)
        if (reasons.length > 0) throw GateErrors.NOT_PASSED({ endpoint, model, version, reasons })
      }
    },
  }

  async function whyNot(
    ref: VersionRef,
    endpoint: string,
    settings: GateSettings,
    settingsDigest: string,
    by: Actor,
  ): Promise<string[]> {
    const report = await readReport(sql, endpoint, ref.model, ref.version)
    if (report === undefined) return ['Its gates were never checked.']
    const reasons: string[] = []
    if (report.digest !== options.digestOf(ref)) reasons.push('The report is of other content.')
    if (report.settings !== settingsDigest) reasons.push('The configuration of the gates has changed since.')
    for (const { gate, verdict, summary } of report.results)
      if (verdict === 'failed' && gate !== 'approvals') reasons.push(`${gate}: ${summary}`)
    if (settings.approvals !== undefined && report.digest !== null) {
      const words = await readApprovals(sql, endpoint, ref.model, report.digest)
      const excluded = settings.approvals.fourEyes ? [...(await authors(ref)), by] : []
      const { counted, rejection, text } = countApprovals(words, settings.approvals, excluded)
      if (rejection !== undefined) reasons.push('It was rejected.')
      else if (counted.length < settings.approvals.count) reasons.push(text)
    }
    return reasons
  }
}

interface Touched extends Pick<GatedEndpoint, 'settings' | 'settingsDigest'> {
  readonly endpoint: string
  readonly model: string
  readonly version: number
}

/** The versions that a change would give an endpoint's traffic to, of endpoints with gates. */
function touched({ kind, subject, detail }: Change, options: GateServiceOptions): Touched[] {
  const model = String(detail['model'])
  const { alias } = detail
  const isAlias = kind === 'alias.set'
  const version = isAlias ? detail['version'] : pointedAt(model, detail, options)
  if (typeof version !== 'number') return []
  const follows = ({ name, leaves }: GatedEndpoint) =>
    isAlias
      ? leaves.some((leaf) => leaf.model === model && typeof leaf.version === 'object' && leaf.version.alias === alias)
      : name === subject
  return options
    .gated()
    .filter(follows)
    .map(({ name, settings, settingsDigest }) => ({ endpoint: name, model, version, settings, settingsDigest }))
}

function pointedAt(model: string, { version, alias }: Change['detail'], options: GateServiceOptions): unknown {
  if (typeof alias === 'string') return options.aliasOf(model, alias)
  return version === 'latest' ? options.knownVersions(model).at(-1) : version
}
