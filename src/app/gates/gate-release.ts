// Gates in front of a release: what starts one asks here, and keeps the report as its evidence.
import type { VersionRef } from '../../core/index.js'
import type { Actor, Evidence } from '../../decisions/index.js'
import { GateErrors, type GateReport } from '../../release/index.js'
import type { App } from '../app.js'
import { type CheckOptions, championOf, checkVersion } from './check-version.js'
import { settingsDigest } from './open-gates.js'

export interface GateReleaseOptions extends CheckOptions {
  readonly startedBy: Actor
  /** Passes by the gates for this reason, which the evidence says. */
  readonly skipReason?: string | undefined
}

/** A report that is older than this is made again: what is beside a version changes. */
const FRESH_MS = 300_000

/**
 * The evidence for a release of this version: its gate report, made now or in the last five minutes. Rejects with GATE_NOT_PASSED, and with
 * what `checkVersion` rejects with.
 *
 * @example
 * const evidence = await gateRelease(app, ref, endpoint, { startedBy: actor })
 */
export async function gateRelease(
  app: App,
  ref: VersionRef,
  endpoint: string,
  options: GateReleaseOptions,
): Promise<Evidence> {
  if (options.skipReason !== undefined) {
    if (options.skipReason.trim() === '') throw GateErrors.REASON_NEEDED()
    return { gatesSkipped: true, reason: options.skipReason }
  }
  const kept = await app.services.gates.report(endpoint, ref.model, ref.version)
  const report =
    kept !== undefined && isFresh(app, ref, kept)
      ? await again(app, ref, endpoint, kept, options)
      : await checkVersion(app, ref, endpoint, options)
  if (!report.passed) {
    const reasons = report.results
      .filter(({ verdict }) => verdict === 'failed')
      .map(({ gate, summary }) => `${gate}: ${summary}`)
    throw GateErrors.NOT_PASSED({ endpoint, model: ref.model, version: ref.version, reasons })
  }
  return { gates: summaryOf(report) }
}

/** Of the same content, settings and champion, and nothing failed but approvals, which are looked at again. */
function isFresh(app: App, ref: VersionRef, report: GateReport): boolean {
  const champion = championOf(app, ref, report.endpoint).champion
  return (
    (report.passed || report.awaitsApproval) &&
    report.digest !== null &&
    report.digest === app.pool.get(ref)?.digest &&
    report.settings === settingsDigest(app.project, report.endpoint) &&
    (report.champion?.digest ?? null) === (champion?.digest ?? null) &&
    app.platform.clock.nowMs() - report.checkedMs < FRESH_MS
  )
}

/** The kept report with what approvals are now, for whoever starts the release. */
async function again(
  app: App,
  ref: VersionRef,
  endpoint: string,
  kept: GateReport,
  options: GateReleaseOptions,
): Promise<GateReport> {
  const now = await checkVersion(app, ref, endpoint, { ...options, only: ['approvals'] })
  const approvals = now.results.filter(({ gate }) => gate === 'approvals')
  const results = [...kept.results.filter(({ gate }) => gate !== 'approvals'), ...approvals]
  return { ...kept, results, passed: results.every(({ verdict }) => verdict !== 'failed') }
}

/** A report as evidence of a decision: sentences and numbers, without every slice. */
function summaryOf({ results, notChecked, digest, champion, checkedMs }: GateReport): Evidence {
  return {
    digest,
    champion,
    checkedMs,
    results: results.map(({ gate, verdict, summary }) => ({ gate, verdict, summary })),
    notChecked,
  }
}
