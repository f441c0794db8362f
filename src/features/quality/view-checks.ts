// What surrounds the filling of a view: before it, its source still has the columns that it had; after it, the whole of its rows is judged.
import { HeadraceError, type Platform } from '../../core/index.js'
import type { Migration, Sql } from '../../store/index.js'
import type { CompiledView } from '../compiled.js'
import type { Expectation } from '../definitions/expectation.js'
import { FeatureErrors } from '../errors.js'
import type { OfflineStore } from '../offline/types.js'
import type { Alerts } from './alerts.js'
import { checkSet } from './check-set.js'
import { columnOf, qualityTable } from './quality-table.js'
import { type SourceColumn, schemaChanges } from './schema-change.js'
import type { QualityReport } from './types.js'

export interface ViewChecks {
  /** Throws FEATURE_SCHEMA_CHANGED, and raises its alert, when columns that the view reads are gone or of another type. */
  before(view: CompiledView): Promise<void>
  /** Remembers the columns that the view was filled from, and judges its rows: what is broken raises an alert. Never rejects. */
  after(view: CompiledView): Promise<void>
  /** Judges the rows of a view by its own rules and its source's; those of `sinceMs` or later, against those before. */
  check(
    view: CompiledView,
    options?: { readonly sinceMs?: number; readonly signal?: AbortSignal },
  ): Promise<QualityReport>
}

export interface ViewChecksOptions {
  readonly platform: Platform
  readonly sql: Sql
  readonly offline: Pick<OfflineStore, 'schema' | 'inspect'>
  readonly alerts: Alerts
}

type Tables = {
  feature_source_columns: { view: string; meaning: string; columns: string; noted_ms: number }
}

export const qualityMigrations: Readonly<Record<string, Migration>> = {
  '0001-source-columns': {
    up: async (tx) => {
      await tx.schema
        .createTable('feature_source_columns')
        .addColumn('view', 'text', (column) => column.notNull())
        // Of what: a version of a view and its source.
        .addColumn('meaning', 'text', (column) => column.notNull())
        .addColumn('columns', 'text', (column) => column.notNull())
        .addColumn('noted_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('feature_source_columns_key', ['view'])
        .execute()
    },
  },
}

/** Metric ml_feature_expectation_broken{of,reason}: 1 while a rule is broken. */
export async function createViewChecks(options: ViewChecksOptions): Promise<ViewChecks> {
  const { platform, sql, offline, alerts } = options
  const { clock, logger, metrics } = platform
  await sql.migrate('feature-quality', qualityMigrations)
  const broken = metrics.gauge({
    name: 'ml_feature_expectation_broken',
    help: '1 while an expectation is broken by the rows that were last materialised',
    labels: ['of', 'reason'],
    together: 'max',
  })
  const db = sql.db<Tables>()
  /** Of each view that the gauge tells of. */
  const reports = new Map<string, QualityReport>()

  /** What was there when this version of a view was last filled from this source. */
  async function remembered(view: CompiledView): Promise<readonly SourceColumn[] | undefined> {
    const row = await db
      .selectFrom('feature_source_columns')
      .selectAll()
      .where('view', '=', view.name)
      .executeTakeFirst()
    return row && row.meaning === meaningOf(view) ? (JSON.parse(row.columns) as SourceColumn[]) : undefined
  }

  async function before(view: CompiledView): Promise<void> {
    if (view.source === undefined) return
    const now = await offline.schema(view)
    const then = await remembered(view)
    // Of a source that cannot be described beforehand nothing is known.
    if (then === undefined || now.length === 0 || then.length === 0) return
    const changes = schemaChanges(then, now, columnsRead(view), view.source.renames)
    const alert = { alert: 'feature-schema', service: '', of: view.name } as const
    if (changes.breaking.length > 0) {
      const error = FeatureErrors.SCHEMA_CHANGED({ source: view.source.name, changes: changes.breaking })
      alerts.raise({ ...alert, message: error.message })
      throw error
    }
    alerts.clear(alert)
    if (changes.harmless.length > 0) {
      logger.info(
        { view: view.name, source: view.source.name, changes: changes.harmless },
        'the columns of a source changed',
      )
    }
  }

  async function after(view: CompiledView): Promise<void> {
    try {
      if (view.source !== undefined) await remember(view, await offline.schema(view))
      if (rulesOf(view).length > 0) await check(view)
    } catch (error) {
      // The view is filled; what could not be judged is judged after the next time.
      const problem = error instanceof HeadraceError ? error.message : String(error)
      logger.warn({ err: error, view: view.name, problem }, 'the rows of a view could not be judged')
    }
  }

  async function remember(view: CompiledView, columns: readonly SourceColumn[]): Promise<void> {
    const row = { meaning: meaningOf(view), columns: JSON.stringify(columns), noted_ms: clock.nowMs() }
    await db
      .insertInto('feature_source_columns')
      .values({ view: view.name, ...row })
      .onConflict((conflict) => conflict.column('view').doUpdateSet(row))
      .execute()
  }

  async function check(
    view: CompiledView,
    { sinceMs, signal }: { readonly sinceMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<QualityReport> {
    const report = await offline.inspect(
      view,
      (duck, relation) => {
        const table = qualityTable(duck, view, relation)
        const own = new Set(view.expectations)
        // A source has columns that the view does not read: rules about those are not this view's.
        const expectations = rulesOf(view).filter(
          (rule) => own.has(rule) || namesOf(rule).every((name) => columnOf(table, name)),
        )
        return checkSet({ table, expectations, nowMs: clock.nowMs(), ...(sinceMs === undefined ? {} : { sinceMs }) })
      },
      signal,
    )
    if (sinceMs === undefined) conclude(view, report)
    return report
  }

  function conclude(view: CompiledView, report: QualityReport): void {
    for (const { reason } of reports.get(view.name)?.results ?? []) broken.remove(view.name, reason)
    reports.set(view.name, report)
    for (const { reason, passed } of report.results) broken.with(view.name, reason).set(passed ? 0 : 1)
    const failed = report.results.filter(({ passed }) => !passed)
    const alert = { alert: 'feature-expectation', service: '', of: view.name } as const
    if (failed.length === 0) alerts.clear(alert)
    else alerts.raise({ ...alert, message: failed.map(({ explanation }) => explanation).join(' ') })
  }

  return { before, after, check }
}

const rulesOf = (view: CompiledView): readonly Expectation[] => [
  ...(view.source?.expectations ?? view.stream?.expectations ?? []),
  ...view.expectations,
]

const namesOf = (rule: Expectation): readonly string[] =>
  'columns' in rule ? rule.columns : 'column' in rule ? [rule.column] : []

/** Names as the definition has them; of renamed columns the new ones. */
function columnsRead(view: CompiledView): ReadonlySet<string> {
  const { eventTime, knownTime } = view.source!
  return new Set([
    ...view.keys.map(({ name }) => name),
    ...view.columns,
    eventTime,
    ...(knownTime === undefined ? [] : [knownTime]),
  ])
}

/** Another version, or another source, begins anew. */
const meaningOf = (view: CompiledView): string => `${view.table} ${view.source?.name}`
