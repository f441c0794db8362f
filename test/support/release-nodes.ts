// Nodes of releases on virtual time: keeper, controller and a log that the test writes, on a real store. Each node has clocks of its own,
// so that one can stand still while another goes on, and their wall clocks need not agree.
import { join } from 'node:path'
import { createPlatform, ManualClock } from '../../src/core/index.js'
import {
  type Actor,
  type Change,
  createDecisions,
  createLeaderLease,
  type Decision,
  type Evidence,
  requireTerm,
} from '../../src/decisions/index.js'
import type { StoredRecord } from '../../src/log/index.js'
import { registryChangeKinds, registryMigrations } from '../../src/registry/index.js'
import { guardsSection } from '../../src/release/guards/settings.js'
import {
  createReleaseService,
  DroppedJournal,
  type Release,
  ReleaseController,
  ReleaseKeeper,
  type ReleaseService,
  releaseChangeKinds,
  releaseMigrations,
} from '../../src/release/index.js'
import { openSql, type Sql } from '../../src/store/index.js'

export const ANNA: Actor = { kind: 'person', name: 'anna' }
const LEADER = 'releases'

export interface ReleaseNodeInTest {
  readonly clock: ManualClock
  readonly keeper: ReleaseKeeper
  readonly controller: ReleaseController
  readonly service: ReleaseService
  /** How it makes decisions; may be replaced. */
  decide: (change: Change, evidence: Evidence, by: Actor) => Promise<Decision>
  obstacle: string | undefined
  /** What the only process of it says of the candidate. */
  isWarm: boolean
  failure: string | null
  log(records: readonly StoredRecord[]): Promise<void>
  /** So much time passes, half a second at a time. */
  pass(ms: number): Promise<void>
  look(): Promise<void>
  /** As a crash: nothing is written any more. */
  kill(): Promise<void>
}

export interface NodeOptions {
  readonly sql?: Sql
  /** Its wall clock at the start. */
  readonly epochMs?: number
  readonly decide?: ReleaseNodeInTest['decide']
}

export interface ReleaseWorld {
  readonly sql: Sql
  readonly decided: string[]
  start(plan: string, more?: { minUnits?: number; timeScale?: number; guards?: object }): Promise<Release>
  node(name: string, options?: NodeOptions): Promise<ReleaseNodeInTest>
  close(): Promise<void>
}

export async function openReleaseWorld(folder: string): Promise<ReleaseWorld> {
  const platform = createPlatform({ clock: new ManualClock() })
  const sql = await openSql({ file: join(folder, 'metadata.db'), platform })
  await sql.migrate('registry', registryMigrations)
  await sql.migrate('releases', releaseMigrations)
  const kinds = [...registryChangeKinds, ...releaseChangeKinds((tx, term) => requireTerm(tx, LEADER, term))]
  const decisions = await createDecisions({ sql, platform, kinds })
  const decided: string[] = []
  decisions.watch(({ change, undoes }) => decided.push(undoes === null ? change.kind : `undo ${change.kind}`))
  const nodes: ReleaseNodeInTest[] = []
  let guards: object = {}

  async function node(name: string, options: NodeOptions = {}): Promise<ReleaseNodeInTest> {
    const clock = new ManualClock(options.epochMs)
    const own = createPlatform({ clock })
    const store = options.sql ?? sql
    const journal = await DroppedJournal.open(join(folder, `${name}-stopped.json`))
    let isDead = false
    let seq = 0
    const readers = new Set<(records: StoredRecord[]) => Promise<void>>()
    const decide = (change: Change, evidence: Evidence, by: Actor) =>
      isDead ? Promise.reject(new Error('this node is dead')) : self.decide(change, evidence, by)
    const keeper = new ReleaseKeeper({
      sql: store,
      platform: own,
      node: name,
      processes: 1,
      journal,
      log: {
        durableThrough: () => seq,
        subscribe(_, batch) {
          readers.add(batch)
          return () => readers.delete(batch)
        },
      },
      decide,
      async undoCompletion({ id }) {
        const made = await decisions.list({ subject: 'shop', limit: 100 })
        const completion = made.find(
          ({ change }) => change.kind === 'release.complete' && change.detail['release'] === id,
        )!
        await decisions.undo(completion.id, { kind: 'rule', name: 'release' })
      },
    })
    const leader = await createLeaderLease({ sql: store, platform: own, name: LEADER, holder: name, leaseMs: 3_000 })
    const controller = new ReleaseController({
      sql: store,
      platform: own,
      keeper,
      term: () => leader.term(),
      checkTerm: (tx, term) => requireTerm(tx, LEADER, term),
      obstacle: () => self.obstacle,
      decide,
    })
    const service = createReleaseService({
      sql: store,
      platform: own,
      keeper,
      decisions,
      plans: {},
      settingsOf: () => ({ guards: guardsSection.parse(guards) }),
      isKnown: () => true,
      decide,
    })
    const self: ReleaseNodeInTest = {
      clock,
      keeper,
      controller,
      service,
      decide: options.decide ?? ((change, evidence, by) => decisions.apply(change, evidence, by)),
      obstacle: undefined,
      isWarm: true,
      failure: null,
      async log(records) {
        const stored = records.map((record) => ({ ...record, seq: ++seq }))
        for (const reader of readers) await reader(stored)
        await settle()
        clock.advance(250)
        await settle()
      },
      async pass(ms) {
        for (let i = 0; i < ms / 500; i++) {
          clock.advance(500)
          await self.look()
        }
      },
      async look() {
        await keeper.look()
        for (const { id, revision } of keeper.rows())
          await keeper.report({ release: id, process: 'primary', revision, isWarm: self.isWarm, failure: self.failure })
        await settle()
        await controller.turn()
        await keeper.changed()
      },
      async kill() {
        isDead = true
        readers.clear()
        nodes.splice(nodes.indexOf(self), 1)
        await settle()
        await controller.close()
        await keeper.close()
      },
    }
    nodes.push(self)
    await self.look()
    return self
  }

  /** What has been asked of the store is answered. */
  async function settle(): Promise<void> {
    for (let i = 0; i < 12; i++)
      await sql.db<{ decisions: { id: string } }>().selectFrom('decisions').select('id').limit(1).execute()
  }

  for (const version of [1, 2, 3])
    await decisions.apply(
      {
        kind: 'version.seen',
        subject: `fraud/${version}`,
        detail: { model: 'fraud', version, digest: `sha256:${String(version).repeat(64)}` },
      },
      {},
      ANNA,
    )
  return {
    sql,
    decided,
    async start(plan, more = {}) {
      guards = more.guards ?? {}
      const starter = nodes[0]!
      const { minUnits, timeScale } = more
      const request = { endpoint: 'shop', model: 'fraud', from: 1, to: 2, selector: '1', plan }
      const release = await starter.service.start(
        { ...request, ...(minUnits !== undefined && { minUnits }), ...(timeScale !== undefined && { timeScale }) },
        ANNA,
      )
      decided.length = 0
      for (const one of nodes) {
        await one.look()
        await one.look()
      }
      return release
    },
    node,
    async close() {
      for (const one of [...nodes]) await one.kill()
      await sql.close()
    },
  }
}

/** Predictions of these units, as a release's arm answered them. */
export function predictions(
  units: readonly string[],
  arm: 'candidate' | 'control' | 'baseline',
  probability: number,
  status = 'ok',
): StoredRecord[] {
  return units.map((unit) => ({
    ...head(unit),
    kind: 'prediction',
    unit,
    route: [{ node: 'release', arm, probability }],
    flags: [],
    error: status === 'ok' ? null : status,
    cost: null,
    calls: [call(arm === 'candidate' ? 2 : 1, 'primary', status)],
  })) as unknown as StoredRecord[]
}

/** Pairs of a shadow step, in which both answer alike. */
export function shadowPairs(units: readonly string[]): StoredRecord[] {
  return units.flatMap((unit) => [
    {
      ...head(unit),
      kind: 'prediction',
      unit,
      route: [{ node: 'release', arm: 'shadow', probability: 1 }],
      flags: [],
      error: null,
      cost: null,
      calls: [call(1, 'primary', 'ok')],
      payload: payload(),
    },
    { ...head(unit), kind: 'call', prediction: unit, call: call(2, 'shadow', 'ok'), payload: payload() },
  ]) as unknown as StoredRecord[]
}

function head(id: string) {
  return { id, seq: 0, timeMs: Date.UTC(2026, 0, 1) + 1_000, endpoint: 'shop', tenant: 'default' }
}

function call(version: number, role: string, status: string) {
  return { leaf: 'fraud', model: 'fraud', version, role, status, latencyMs: 5, queueMs: 1, batchRows: 1 }
}

function payload() {
  return {
    weight: 1,
    inputs: [],
    outputs: [{ call: 0, tensors: [{ name: 'y', datatype: 'FP32', shape: [1], data: [0.5] }] }],
  }
}
