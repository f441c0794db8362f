// The operations of releases, over the decisions that change them and the rows that say how they stand.
import type { Platform } from '../core/index.js'
import type { Actor, Change, Decision, Decisions, Evidence } from '../decisions/index.js'
import { type Sql, StoreErrors } from '../store/index.js'
import { unitsNeeded } from './controller.js'
import { ReleaseErrors } from './errors.js'
import { readLooks } from './evidence.js'
import type { GuardSettings } from './guards/settings.js'
import type { NodeReport, ReleaseKeeper } from './node.js'
import { BUILT_IN_PLANS, DEFAULT_MIN_UNITS, isSwitch, parsePlan, stepText } from './plan.js'
import { weightOf } from './release-tree.js'
import { readEvidence } from './retention.js'
import type {
  NamedPlan,
  ReleaseChangeOptions,
  ReleaseEvent,
  ReleaseNode,
  ReleaseProgress,
  ReleaseService,
  ReleaseStatus,
} from './service.js'
import { fromRow, isActive, type ReleaseRow, type ReleaseTables, stepOf } from './tables.js'
import type { Release } from './types.js'
import { unitsOf } from './watcher.js'

export interface OperationsOptions {
  readonly sql: Sql
  readonly platform: Platform
  readonly keeper: ReleaseKeeper
  readonly decisions: Pick<Decisions, 'list' | 'explain'>
  /** `plans` of the configuration. */
  readonly plans: Readonly<Record<string, string>>
  /** What the endpoint's configuration says about its releases. */
  settingsOf(endpoint: string): {
    readonly plan?: string | undefined
    readonly minUnits?: number | undefined
    readonly guards: GuardSettings
  }
  /** Whether a version was ever seen here. */
  isKnown(model: string, version: number): boolean
  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
}

const MAX_EVENTS = 200

export function createReleaseService(options: OperationsOptions): ReleaseService {
  const { sql, platform, keeper, decisions, plans } = options
  const db = () => sql.db<ReleaseTables>()
  const nowMs = () => Math.round(platform.clock.nowMs())

  async function find(id: string): Promise<ReleaseRow> {
    const row =
      (await db().selectFrom('releases').selectAll().where('id', '=', id).executeTakeFirst()) ??
      (await db().selectFrom('releases').selectAll().where('active_endpoint', '=', id).executeTakeFirst()) ??
      (await db()
        .selectFrom('releases')
        .selectAll()
        .where('endpoint', '=', id)
        .orderBy('started_ms', 'desc')
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirst())
    if (row) return row
    throw ReleaseErrors.NOT_FOUND({ id: id.slice(0, 200) })
  }

  /** After a change that is made: that the store has gone away since must not be taken for a refusal, and the change be made again. */
  async function made(id: string): Promise<Release> {
    try {
      return fromRow(await find(id))
    } catch (error) {
      throw StoreErrors.OUTCOME_UNKNOWN({ file: 'the metadata store', reason: (error as Error).message }, error)
    }
  }

  async function change(
    kind: string,
    id: string,
    { revision, reason, evidence = {} }: ReleaseChangeOptions & { readonly evidence?: Evidence },
    by: Actor,
  ): Promise<Release> {
    const row = await find(id)
    const detail = { release: row.id, revision: revision ?? null, term: null, atMs: nowMs(), reason: reason ?? null }
    await options.decide({ kind, subject: row.endpoint, detail }, evidence, by)
    return made(row.id)
  }

  /** Who ends a release that was completed means to go back: that is its undoing, and saying nothing would leave the new version. */
  async function expectNotCompleted(row: ReleaseRow): Promise<void> {
    if (row.state !== 'completed') return
    const found = await decisions.list({ subject: row.endpoint, limit: 1_000 })
    const completion = found.find(
      ({ change, undoes }) =>
        undoes === null && change.kind === 'release.complete' && change.detail['release'] === row.id,
    )
    throw ReleaseErrors.COMPLETED({ id: row.id, to: row.to_version, from: row.from_version, decision: completion?.id })
  }

  async function evidenceOf(row: ReleaseRow): Promise<Evidence> {
    return { guards: (await readEvidence(db(), row)).reports, stepElapsedMs: row.step_elapsed_ms }
  }

  async function eventsOf(row: ReleaseRow): Promise<ReleaseEvent[]> {
    const events: ReleaseEvent[] = []
    for (const decision of await decisions.list({ subject: row.endpoint, limit: 1_000 })) {
      const { id, timeMs, change, by, evidence } = decision
      if (change.detail['release'] !== row.id || events.length >= MAX_EVENTS) continue
      const { summary } = await decisions.explain(id)
      const kind = decision.undoes === null ? change.kind : `undo ${change.kind}`
      events.push({ decision: id, timeMs, kind, by, summary, evidence })
    }
    return events.reverse()
  }

  async function nodesOf(row: ReleaseRow): Promise<ReleaseNode[]> {
    const rows = await db()
      .selectFrom('release_nodes')
      .selectAll()
      .where('release', '=', row.id)
      .orderBy('node')
      .execute()
    return rows.map(({ node, at_ms, report }) => {
      const { beat: _, ...said } = JSON.parse(report) as NodeReport
      // What a node said last of a release that is over was said before it was.
      if (!isActive(row))
        return {
          node,
          ...said,
          holdsLease: false,
          weight: 0,
          reason: 'the release is over',
          ageMs: Math.max(0, nowMs() - at_ms),
        }
      return { node, ...said, ageMs: Math.max(0, nowMs() - at_ms) }
    })
  }

  return {
    async start(request, by) {
      const { endpoint, model, from, to } = request
      const settings = options.settingsOf(endpoint)
      const plan = parsePlan(request.plan ?? settings.plan ?? 'standard', plans)
      if (from === to) throw ReleaseErrors.ALREADY_LIVE({ endpoint, model, version: to })
      for (const version of [from, to])
        if (!options.isKnown(model, version))
          throw ReleaseErrors.NOT_SERVABLE({ model, version, reason: 'no such version was ever seen by this server.' })
      const release = platform.ids.next()
      const { selector } = request
      const alias = aliasOf(selector) ?? request.alias ?? null
      await options.decide(
        {
          kind: 'release.start',
          subject: endpoint,
          detail: {
            ...{ release, model, from, to, selector, alias },
            plan: JSON.stringify(plan),
            minUnits: request.minUnits ?? settings.minUnits ?? (isSwitch(plan) ? 0 : DEFAULT_MIN_UNITS),
            timeScale: Math.max(1, Math.round(request.timeScale ?? 1)),
            guards: JSON.stringify(settings.guards),
            startedMs: nowMs(),
            startedByKind: by.kind,
            startedByName: by.name,
          },
        },
        request.evidence ?? {},
        by,
      )
      return made(release)
    },
    get: async (id) => fromRow(await find(id)),
    async list({ endpoint, state, limit = 50 } = {}) {
      let query = db().selectFrom('releases').selectAll().orderBy('started_ms', 'desc').orderBy('id', 'desc')
      if (endpoint !== undefined) query = query.where('endpoint', '=', endpoint)
      if (state !== undefined) query = query.where('state', '=', state)
      return (await query.limit(Math.min(Math.max(limit, 1), 1_000)).execute()).map(fromRow)
    },
    async status(id): Promise<ReleaseStatus> {
      const row = await find(id)
      const release = fromRow(row)
      const stored = await readEvidence(db(), row)
      const { units } = stored
      const reports = keeper.watcher(row.id)?.reports ?? stored.reports
      const looks = await readLooks(db(), row.id)
      const nodes = await nodesOf(row)
      return {
        release,
        weight: isActive(row) ? weightOf(stepOf(release)) : release.state === 'completed' ? 1 : 0,
        timeScale: row.time_scale,
        progress: progressOf(row, unitsOf(units, row.step, 'candidate'), unitsOf(units, row.step, 'control'), nodes),
        guards: reports.map((report) => ({ report, series: looks.get(report.guard) ?? [] })),
        shadow: row.shadow === null ? null : (JSON.parse(row.shadow) as Record<string, unknown>),
        events: await eventsOf(row),
        nodes,
      }
    },
    async promote(id, { all = false, ...rest }, by) {
      const row = await find(id)
      const isLast = row.step + 1 >= fromRow(row).plan.steps.length
      const evidence = isActive(row) ? await evidenceOf(row) : {}
      // At the revision that was looked at: two promotions at once are one step.
      const revision = rest.revision ?? row.revision
      return change(all || isLast ? 'release.complete' : 'release.promote', row.id, { ...rest, revision, evidence }, by)
    },
    pause: (id, given, by) => change('release.pause', id, given, by),
    resume: (id, given, by) => change('release.resume', id, given, by),
    async abort(id, given, by) {
      const row = await find(id)
      await expectNotCompleted(row)
      return change('release.abort', row.id, given, by)
    },
    async rollback(id, given, by) {
      const row = await find(id)
      await expectNotCompleted(row)
      if (!isActive(row)) return fromRow(row)
      return change('release.rollback', row.id, { ...given, evidence: given.evidence ?? (await evidenceOf(row)) }, by)
    },
    async plans(): Promise<NamedPlan[]> {
      const all = { ...BUILT_IN_PLANS, ...plans }
      return Object.keys(all).map((name) => ({
        name,
        plan: parsePlan(name, plans),
        isBuiltIn: !Object.hasOwn(plans, name),
      }))
    },
    report: (report) => keeper.report(report),
    grants: async () => keeper.grants(),
  }
}

function aliasOf(selector: string): string | undefined {
  const read = JSON.parse(selector) as number | string | { alias: string }
  return typeof read === 'object' ? read.alias : undefined
}

function progressOf(
  row: ReleaseRow,
  units: number,
  controlUnits: number,
  nodes: readonly ReleaseNode[],
): ReleaseProgress {
  const { plan, state, reason, stepElapsedMs } = fromRow(row)
  const step = plan.steps[row.step]!
  const durationMs = step.length.durationMs ?? null
  const needed = unitsNeeded(row)
  const base = { units, controlUnits, unitsNeeded: needed, elapsedMs: stepElapsedMs, durationMs }
  const say = (summary: string) => ({ ...base, summary })
  const because = reason === null ? '' : `: ${reason.replace(/\.$/, '')}`
  if (state === 'paused') return say(`Paused${because}. Weights stay, time stands still, guards go on.`)
  if (state === 'completed') return say(`Completed: the endpoint serves version ${row.to_version}.`)
  if (state === 'aborted') return say(`Aborted${because}. The endpoint serves version ${row.from_version}.`)
  if (state === 'rolled-back') return say(`Rolled back${because}. The endpoint serves version ${row.from_version}.`)
  const waiting = nodes.find(({ isWarm }) => !isWarm)
  if (nodes.length === 0 || waiting)
    return say(`Waits until the candidate is loaded${waiting ? ` on node ${waiting.node}` : ''}.`)
  const where = `Step ${row.step + 1} of ${plan.steps.length}, ${stepText(step)}`
  if (units < needed) {
    const isLong = stepElapsedMs >= (durationMs ?? 0)
    const more = `${needed - units} more units of the candidate`
    return say(
      isLong ? `${where}: inconclusive, waits for ${more} (or a promotion).` : `${where}: needs time and ${more}.`,
    )
  }
  return say(`${where}: goes on when its time is over and guards allow it.`)
}
