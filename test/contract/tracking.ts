// What tracking promises on any database. Searches are compared with a slow evaluation in memory.
import fc from 'fast-check'
import { expect, it, onTestFinished } from 'vitest'
import { ManualClock, testPlatform } from '../../src/core/index.js'
import type { Sql } from '../../src/store/index.js'
import { createTracking, type Metric, type Run, type TrackingService } from '../../src/tracking/index.js'

const NOW_MS = Date.UTC(2026, 10, 22)
/** Longer than what an index has of it. */
const LONG = 'ä'.repeat(150)

export function trackingContract(openSql: () => Promise<Sql>): void {
  async function open(): Promise<{ tracking: TrackingService; clock: ManualClock; sql: Sql }> {
    const sql = await openSql()
    onTestFinished(() => sql.close())
    const clock = new ManualClock(NOW_MS)
    return { tracking: await createTracking({ sql, platform: testPlatform({ clock }) }), clock, sql }
  }
  const metric = (key: string, value: number, step = 0, timestampMs = NOW_MS): Metric => ({
    ...{ key, value, step, timestampMs },
  })
  const log = (tracking: TrackingService, runId: string, metrics: Metric[]) =>
    tracking.logBatch(runId, { metrics, params: [], tags: [] })

  it('keeps every double, NaN, infinities and 64-bit times and steps exactly, in the latest value and in the history', async () => {
    const { tracking } = await open()
    const { info } = await tracking.createRun({ experimentId: '0', tags: [] })
    // The three after them are texts that SQLite 3.45 reads one bit off.
    const named = [0, -0.1, Math.PI, 5e-324, Number.MAX_VALUE, 1e300, Number.NaN, Infinity, -Infinity, 2 ** 53]
    const misread = [0.0000236453416296992, 0.2365214181765425, -0.1479117993411352]
    const drawn = fc.sample(fc.double({ min: -1e6, max: 1e6 }), { numRuns: 200, seed: 6 }).map((value) => value + 0)
    const values = [...named, ...misread, ...drawn]
    const metrics = values.map((value, index) => ({
      key: `m${String(index).padStart(3, '0')}`,
      value,
      timestampMs: 2n ** 63n - 1n,
      step: -(2n ** 63n),
    }))
    await log(tracking, info.runId, metrics)
    const run = await tracking.getRun(info.runId)
    expect(run.metrics.map(({ value }) => value)).toEqual(values)
    for (const sent of metrics.slice(0, 20)) {
      const { items } = await tracking.metricHistory({ runId: info.runId, key: sent.key, maxResults: 10 })
      expect(items).toEqual([sent])
    }
  })

  it('takes for the latest point that of the greatest step, then time, then value, however points arrive', async () => {
    const { tracking } = await open()
    const points = fc.array(
      fc.record({
        step: fc.integer({ min: -2, max: 2 }),
        timestampMs: fc.integer({ min: 0, max: 2 }),
        value: fc.constantFrom(-1, 0, 0.5, 7, Infinity, -Infinity),
      }),
      { minLength: 1, maxLength: 12 },
    )
    await fc.assert(
      fc.asyncProperty(points, fc.integer({ min: 1, max: 12 }), async (all, cut) => {
        const { info } = await tracking.createRun({ experimentId: '0', tags: [] })
        const metrics = all.map((point) => ({ key: 'm', ...point }))
        await log(tracking, info.runId, metrics.slice(0, cut))
        await log(tracking, info.runId, metrics.slice(cut))
        const latest = [...metrics]
          .sort((a, b) => a.step - b.step || a.timestampMs - b.timestampMs || compare(a.value, b.value))
          .at(-1)
        expect((await tracking.getRun(info.runId)).metrics).toEqual([latest])
      }),
      { numRuns: 25 },
    )
  })

  it('writes a point that is sent twice once, and pages through a history in order', async () => {
    const { tracking } = await open()
    const { info } = await tracking.createRun({ experimentId: '0', tags: [] })
    const metrics = Array.from({ length: 1000 }, (_, i) => metric('loss', 1 / (i + 1), i, NOW_MS + i))
    await log(tracking, info.runId, metrics)
    await log(tracking, info.runId, metrics)
    const steps: unknown[] = []
    let pageToken: string | undefined
    do {
      const page = await tracking.metricHistory({ runId: info.runId, key: 'loss', maxResults: 300, pageToken })
      steps.push(...page.items.map(({ step }) => step))
      pageToken = page.nextPageToken
    } while (pageToken !== undefined)
    expect(steps).toEqual(metrics.map(({ step }) => step))
  })

  it('writes a param once: the same value again is taken, another one is refused with all that came with it', async () => {
    const { tracking } = await open()
    const { info } = await tracking.createRun({ experimentId: '0', tags: [] })
    const params = (...pairs: [string, string][]) =>
      tracking.logBatch(info.runId, {
        metrics: [],
        params: pairs.map(([key, value]) => ({ key, value })),
        tags: [],
      })
    await params(['depth', '3'])
    await params(['depth', '3'], ['lr', '0.1'])
    await expect(params(['new', '1'], ['depth', '4'])).rejects.toMatchObject({ code: 'TRACKING_PARAM_CHANGED' })
    await expect(params(['twice', '1'], ['twice', '2'])).rejects.toMatchObject({ code: 'TRACKING_PARAM_CHANGED' })
    expect((await tracking.getRun(info.runId)).params).toEqual([
      { key: 'depth', value: '3' },
      { key: 'lr', value: '0.1' },
    ])
  })

  it('lets one of many win who make an experiment of the same name at once, and gives each other name its own number', async () => {
    const { tracking } = await open()
    const made = await Promise.allSettled(
      ['a', 'b', 'a', 'c', 'a'].map((name) => tracking.createExperiment({ name, tags: [] })),
    )
    const ids = made.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    expect(new Set(ids).size).toBe(3)
    expect(made.flatMap((one) => (one.status === 'rejected' ? one.reason.code : []))).toEqual([
      'TRACKING_EXPERIMENT_EXISTS',
      'TRACKING_EXPERIMENT_EXISTS',
    ])
  })

  it('deletes an experiment with its runs and brings back those that it took along', async () => {
    const { tracking } = await open()
    const id = await tracking.createExperiment({ name: 'e', tags: [{ key: 'team', value: 'risk' }] })
    const [kept, deleted] = await Promise.all([1, 2].map(() => tracking.createRun({ experimentId: id, tags: [] })))
    await tracking.deleteRun(deleted!.info.runId)
    await tracking.deleteExperiment(id)
    await expect(tracking.createRun({ experimentId: id, tags: [] })).rejects.toMatchObject({
      code: 'TRACKING_EXPERIMENT_STATE',
    })
    await expect(log(tracking, kept!.info.runId, [metric('m', 1)])).rejects.toMatchObject({
      code: 'TRACKING_RUN_DELETED',
    })
    await expect(tracking.createExperiment({ name: 'e', tags: [] })).rejects.toMatchObject({
      params: { isDeleted: true },
    })
    await tracking.restoreExperiment(id)
    const all = await tracking.searchRuns({ experimentIds: [id], view: 'ACTIVE_ONLY', maxResults: 10 })
    expect(all.items.map(({ info }) => info.runId)).toEqual([kept!.info.runId])
  })

  it('finds the runs that a slow evaluation finds, in its order, for any filter and order, however it goes about', async () => {
    const { tracking, clock, sql } = await open()
    const id = await tracking.createExperiment({ name: 'searched', tags: [] })
    const other = await tracking.createExperiment({ name: 'other', tags: [] })
    const runs: Run[] = []
    for (let i = 0; i < 30; i++) {
      clock.advance(1)
      const { info } = await tracking.createRun({
        experimentId: i % 10 === 9 ? other : id,
        name: ['Alpha', 'beta', 'a*b?[c]', 'x_y%'][i % 4]!,
        startMs: 1000 + (i % 7),
        tags: i % 3 === 0 ? [{ key: 'team', value: ['A', 'b', "o'k"][(i % 5) % 3]! }] : [],
      })
      const values = [0.1, 0.5, Number.NaN, Infinity, -Infinity]
      const metrics = i % 4 === 3 ? [] : [metric('auc', values[i % 5]!), metric('loss', i % 6)]
      await tracking.logBatch(info.runId, {
        metrics,
        params: [
          ...(i % 2 === 0 ? [{ key: 'model type', value: ['Tree', 'net'][(i / 2) % 2]! }] : []),
          ...(i % 3 !== 1 ? [{ key: 'text', value: [`${LONG}x`, `${LONG}y`, 'y'][(i % 5) % 3]! }] : []),
        ],
        tags: [],
      })
      const name = i % 5 === 0 ? 'customers' : 'orders'
      const dataset = { name, digest: 'd', sourceType: 'local', source: '', schema: null, profile: null }
      const context = { key: 'mlflow.data.context', value: i % 4 === 0 ? 'eval' : 'train' }
      if (i % 2 === 0) await tracking.logInputs(info.runId, [{ dataset, tags: [context] }], [])
      if (i % 6 === 0) await tracking.updateRun(info.runId, { status: 'FINISHED', endMs: 2000 + i })
      if (i % 8 === 7) await tracking.deleteRun(info.runId)
      runs.push(await tracking.getRun(info.runId))
    }
    const used = (run: Run) => run.datasets[0]
    const comparison = fc.constantFrom<[string, (run: Run) => boolean]>(
      ['metrics.auc > 0.1', (run) => auc(run) > 0.1],
      ['metrics.auc <= 0.5', (run) => auc(run) <= 0.5],
      ['metrics.auc != 0.5', (run) => has(run.metrics, 'auc') && auc(run) !== 0.5],
      ['metrics.loss = 3', (run) => valueAt(run.metrics, 'loss') === 3],
      ["params.`model type` = 'Tree'", (run) => valueAt(run.params, 'model type') === 'Tree'],
      ['params."model type" LIKE \'t%\'', () => false],
      ["param.`model type` ILIKE 't_EE'", (run) => valueAt(run.params, 'model type') === 'Tree'],
      ["tags.team != 'A'", (run) => has(run.tags, 'team') && valueAt(run.tags, 'team') !== 'A'],
      ["tag.team = 'o''k'", (run) => valueAt(run.tags, 'team') === "o'k"],
      ['tags.team IS NULL', (run) => !has(run.tags, 'team')],
      ["attributes.run_name LIKE 'a*b?[%'", (run) => run.info.name === 'a*b?[c]'],
      ["run_name IN ('Alpha', 'x_y%')", (run) => ['Alpha', 'x_y%'].includes(run.info.name)],
      ["attr.status NOT IN ('FAILED')", () => true],
      ['start_time >= 1003', (run) => Number(run.info.startMs) >= 1003],
      ['end_time > 2006', (run) => Number(run.info.endMs ?? 0) > 2006],
      ['metrics.auc > 0.1 and metrics.auc != 0.5', (run) => auc(run) > 0.1 && auc(run) !== 0.5],
      ["tags.team IN ('A', 'b')", (run) => ['A', 'b'].includes(String(valueAt(run.tags, 'team')))],
      ["tags.team NOT IN ('A')", (run) => has(run.tags, 'team') && valueAt(run.tags, 'team') !== 'A'],
      ["params.text LIKE '%y'", (run) => String(valueAt(run.params, 'text')).endsWith('y')],
      [`params.text = '${LONG}x'`, (run) => valueAt(run.params, 'text') === `${LONG}x`],
      [`params.text != '${LONG}x'`, (run) => has(run.params, 'text') && valueAt(run.params, 'text') !== `${LONG}x`],
      ["dataset.name = 'customers'", (run) => used(run)?.dataset.name === 'customers'],
      ["dataset.context != 'eval'", (run) => used(run) !== undefined && used(run)!.tags[0]!.value !== 'eval'],
    )
    const order = fc.constantFrom(
      'metrics.auc',
      'metrics.loss',
      'params.`model type`',
      'params.text',
      'tags.team',
      'start_time',
      'run_name',
    )
    const searching = (fewRows: number, triedRuns: number) =>
      createTracking({ sql, platform: testPlatform({ clock }), searchLimits: { fewRows, triedRuns } })
    // From few, by walks that look runs up, gather a few, gather many, and as it comes.
    const ways = await Promise.all([
      searching(1000, 1),
      searching(1, 1000),
      searching(8, 1),
      searching(1, 1),
      searching(6, 6),
    ])
    await fc.assert(
      fc.asyncProperty(
        fc.array(comparison, { maxLength: 3 }),
        fc.array(fc.tuple(order, fc.boolean()), { maxLength: 2 }),
        fc.boolean(),
        fc.constantFrom(...ways),
        fc.constantFrom('ACTIVE_ONLY' as const, 'DELETED_ONLY' as const, 'ALL' as const),
        async (comparisons, orders, isBoth, way, view) => {
          const experimentIds = isBoth ? [id, other] : [id]
          const filter = comparisons.map(([text]) => text).join(' AND ')
          const orderBy = orders.map(([key, isAscending]) => `${key} ${isAscending ? 'ASC' : 'DESC'}`)
          const expected = runs
            .filter(
              (run) =>
                experimentIds.includes(run.info.experimentId) &&
                (view === 'ALL' || (run.info.lifecycle === 'deleted') === (view === 'DELETED_ONLY')) &&
                comparisons.every(([, holds]) => holds(run)),
            )
            .sort((a, b) => inOrder(a, b, orders))
            .map(({ info }) => info.runId)
          const found: string[] = []
          let pageToken: string | undefined
          do {
            const query = { experimentIds, view, filter, orderBy, maxResults: 7, pageToken }
            const page = await way.searchRuns(query)
            found.push(...page.items.map(({ info }) => info.runId))
            pageToken = page.nextPageToken
          } while (pageToken !== undefined)
          expect(found, `${filter} by ${orderBy.join()}`).toEqual(expected)
        },
      ),
      { numRuns: 60 },
    )
  }, 120_000)

  it('neither repeats nor misses a run while others are made between the pages', async () => {
    const { tracking, clock } = await open()
    const id = await tracking.createExperiment({ name: 'paged', tags: [] })
    const make = async (startMs: number) => {
      clock.advance(1)
      return (await tracking.createRun({ experimentId: id, startMs, tags: [] })).info.runId
    }
    const before: string[] = []
    for (let i = 0; i < 9; i++) before.unshift(await make(1000 + i))
    const found: string[] = []
    let pageToken: string | undefined
    do {
      const page = await tracking.searchRuns({ experimentIds: [id], view: 'ALL', maxResults: 2, pageToken })
      found.push(...page.items.map(({ info }) => info.runId))
      pageToken = page.nextPageToken
      await make(2000)
    } while (pageToken !== undefined)
    expect(found).toEqual(before)
  })

  it('shows an artifact whole or not at all, folders for as long as something is in them, and refuses ways out', async () => {
    const { tracking } = await open()
    const put = (path: string) => tracking.putArtifact({ path, digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 3 })
    await Promise.all(['0/r/a/b.txt', '0/r/a/ü 100%.txt', '0/r/c'].map(put))
    expect(await tracking.listArtifacts('0/r')).toEqual([
      { name: 'a', isFolder: true },
      { name: 'c', isFolder: false, sizeBytes: 3 },
    ])
    for (const path of ['', '..', 'a/../b', 'a//b', '/a', 'a/', '.', 'a\\b', 'a\0b'])
      await expect(put(path), path).rejects.toMatchObject({ code: 'TRACKING_ARTIFACT_PATH_INVALID' })
    await expect(put('0/r/a')).rejects.toMatchObject({ message: expect.stringContaining('is a folder') })
    await expect(put('0/r/c/d')).rejects.toMatchObject({ message: expect.stringContaining('below the file') })
    expect((await tracking.artifactsUnder('0/r')).map(({ path }) => path).sort()).toEqual([
      '0/r/a/b.txt',
      '0/r/a/ü 100%.txt',
      '0/r/c',
    ])
    await tracking.deleteArtifact('0/r/a')
    expect(await tracking.listArtifacts('0/r')).toEqual([{ name: 'c', isFolder: false, sizeBytes: 3 }])
    await tracking.deleteArtifact('0/r/c')
    expect(await tracking.listArtifacts('')).toEqual([])
    await expect(tracking.deleteArtifact('0/r/c')).rejects.toMatchObject({ code: 'TRACKING_ARTIFACT_UNKNOWN' })
  })

  it('compares whole numbers with fractions', async () => {
    const { tracking } = await open()
    const { info } = await tracking.createRun({ experimentId: '0', startMs: 2, tags: [] })
    const found = async (filter: string) => {
      const { items } = await tracking.searchRuns({ experimentIds: ['0'], view: 'ACTIVE_ONLY', maxResults: 10, filter })
      return items.map((run) => run.info.runId)
    }
    expect(await found('start_time > 1.5')).toEqual([info.runId])
    expect(await found('start_time > 2.5')).toEqual([])
    expect(await found('start_time < 1e20')).toEqual([info.runId])
  })

  it('takes a thousand tags with a new run and refuses more', async () => {
    const { tracking } = await open()
    const tags = Array.from({ length: 9000 }, (_, index) => ({ key: `t${index}`, value: '' }))
    const { info } = await tracking.createRun({ experimentId: '0', tags: tags.slice(0, 1000) })
    expect((await tracking.getRun(info.runId)).tags).toHaveLength(1001)
    const refusal = { code: 'TRACKING_TOO_MANY', status: 400 }
    await expect(tracking.createRun({ experimentId: '0', tags })).rejects.toMatchObject(refusal)
  })

  it('says where a filter cannot be read', async () => {
    const { tracking } = await open()
    for (const filter of UNREADABLE) {
      const query = { experimentIds: ['0'], view: 'ACTIVE_ONLY', maxResults: 1, filter } as const
      const refusal = { code: 'TRACKING_FILTER_INVALID', status: 400, message: expect.stringContaining('at character') }
      await expect(tracking.searchRuns(query), filter).rejects.toMatchObject(refusal)
    }
  })
}

const UNREADABLE = [
  'metrics.a',
  'metrics.a >',
  "params.a > 'x'",
  "metrics.a = 'x'",
  "a.b = 'c'",
  'tags.a = b',
  "tags.a = 'b",
  "(tags.a = 'b')",
  "tags.a = 'b' OR tags.a = 'c'",
  'tags.a IN ()',
  "dataset.kind = 'x'",
  'nothing = 1',
  "tags.a = 'b' AND",
  '=',
  'metrics.a > 1;',
  'metrics.a > 1e999',
  'start_time > 99999999999999999999',
]

interface Keyed<T> {
  readonly key: string
  readonly value: T
}
const valueAt = <T>(pairs: readonly Keyed<T>[], key: string): T | undefined =>
  pairs.find((pair) => pair.key === key)?.value
const has = (pairs: readonly Keyed<unknown>[], key: string): boolean => pairs.some((pair) => pair.key === key)
const auc = (run: Run): number => valueAt(run.metrics, 'auc') ?? Number.NaN

/** Numbers, then NaN, then what is missing; ties by start, newest first, and id. */
function inOrder(a: Run, b: Run, orders: readonly (readonly [string, boolean])[]): number {
  for (const [order, isAscending] of orders) {
    const [x, y] = [orderValue(a, order), orderValue(b, order)]
    const ranks = rank(x) - rank(y)
    if (ranks !== 0) return ranks
    if (x !== y && rank(x) === 0) return x! < y! === isAscending ? -1 : 1
  }
  return Number(b.info.startMs) - Number(a.info.startMs) || (a.info.runId < b.info.runId ? -1 : 1)
}

function rank(value: string | number | undefined): number {
  if (value === undefined) return 2
  return Number.isNaN(value) ? 1 : 0
}

function orderValue(run: Run, order: string): string | number | undefined {
  if (order === 'start_time') return Number(run.info.startMs)
  if (order === 'run_name') return run.info.name
  if (order === 'tags.team') return valueAt(run.tags, 'team')
  if (order.startsWith('params')) return valueAt(run.params, order === 'params.text' ? 'text' : 'model type')
  return valueAt(run.metrics, order.slice('metrics.'.length))
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1
}
