// The model versions of this process, as its node reports them. Counted again only after one of them changed: there may be ten thousand.
import { type VersionRef, versionKey } from '../../core/index.js'
import type { Pool } from '../../serving/index.js'
import type { Engines } from '../engines.js'

/** A report is a row that every node writes; who wants all of them asks the node. */
const NAMED = 200

export interface VersionsReport {
  readonly ready: number
  readonly failed: number
  /** `fraud/4`; the first of them. */
  readonly readyVersions: readonly string[]
  readonly failedVersions: readonly string[]
}

export function reportVersions(engines: Engines, pool: Pool): void {
  let isStale = true
  let kept: VersionsReport = { ready: 0, failed: 0, readyVersions: [], failedVersions: [] }
  pool.watch(() => {
    isStale = true
  })
  engines.report('versions', () => {
    if (isStale) kept = count(pool)
    isStale = false
    return kept
  })
}

function count(pool: Pool): VersionsReport {
  const ready: VersionRef[] = []
  const failed: VersionRef[] = []
  for (const { ref, state } of pool.statuses()) {
    if (state === 'ready') ready.push(ref)
    else if (state === 'failed') failed.push(ref)
  }
  return {
    ready: ready.length,
    failed: failed.length,
    readyVersions: ready.slice(0, NAMED).map(versionKey),
    failedVersions: failed.slice(0, NAMED).map(versionKey),
  }
}
