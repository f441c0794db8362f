// What Decisions promise on any Sql engine. The kind of change is a register per subject, so that a slow, obvious model
// (a list of states) can say what every undo must lead to.
import fc from 'fast-check'
import type { Transaction } from 'kysely'
import { expect, it, onTestFinished } from 'vitest'
import { type DecisionId, ManualClock, type Platform, testPlatform } from '../../src/core/index.js'
import {
  type Change,
  type ChangeKind,
  createDecisions,
  type Decision,
  type Decisions,
  hashDecision,
  type Replaced,
} from '../../src/decisions/index.js'
import type { Sql } from '../../src/store/index.js'
import type { OpenSql } from './sql.js'

type RegisterTables = { register: { subject: string; value: number } }

async function readRegister(db: ReturnType<Sql['db']> | Transaction<unknown>, subject: string): Promise<Replaced> {
  const row = await db
    .withTables<RegisterTables>()
    .selectFrom('register')
    .select('value')
    .where('subject', '=', subject)
    .executeTakeFirst()
  return row ? { value: row.value } : null
}

async function writeRegister(tx: Transaction<unknown>, subject: string, value: number | undefined): Promise<Replaced> {
  const before = await readRegister(tx, subject)
  const table = tx.withTables<RegisterTables>()
  await table.deleteFrom('register').where('subject', '=', subject).execute()
  if (value !== undefined) await table.insertInto('register').values({ subject, value }).execute()
  return before
}

/** `register.set` and, for decisions of two kinds on one subject, `note.set`, which changes nothing. */
const kinds: readonly ChangeKind[] = [
  {
    kind: 'register.set',
    undoable: true,
    parse(change) {
      if (typeof change.detail['value'] !== 'number') throw new Error('value must be a number')
    },
    async apply(tx, change) {
      const before = await writeRegister(tx, change.subject, Number(change.detail['value']))
      // Written first, refused after: what a rejected change must not leave.
      if (change.detail['refuse']) throw new Error('refused by the domain')
      return before
    },
    undo: (tx, decision) =>
      writeRegister(tx, decision.change.subject, decision.before?.['value'] as number | undefined),
    summary: (decision) => `Set ${decision.change.subject} to ${decision.change.detail['value']}.`,
  },
  {
    kind: 'note.set',
    undoable: false,
    parse() {},
    apply: async () => null,
    undo: async () => null,
    summary: (decision) => `Noted ${decision.change.subject}.`,
  },
]

const cycle: Record<string, unknown> = {}
cycle['self'] = cycle

const by = { kind: 'person', name: 'key 7' } as const
const set = (subject: string, value: number): Change => ({ kind: 'register.set', subject, detail: { value } })
const note = (subject: string): Change => ({ kind: 'note.set', subject, detail: {} })

export interface DecisionsFixture {
  readonly sql: Sql
  readonly decisions: Decisions
  readonly platform: Platform
  readonly clock: ManualClock
}

/** Opens a database with the registers and the decisions of this suite. */
export async function openDecisions(open: OpenSql, seed = 1): Promise<DecisionsFixture> {
  const sql = await open()
  onTestFinished(() => sql.close())
  await sql.migrate('register', {
    '0001-register': {
      up: (tx) =>
        tx.schema
          .createTable('register')
          .addColumn('subject', 'text', (column) => column.primaryKey())
          .addColumn('value', 'double precision', (column) => column.notNull())
          .execute(),
    },
  })
  const clock = new ManualClock()
  const platform = testPlatform({ clock, seed })
  return { sql, decisions: await createDecisions({ sql, platform, kinds }), platform, clock }
}

/** `make` is called once a test. */
export function decisionsContract(make: () => OpenSql): void {
  const open = () => openDecisions(make())
  const rejection = (code: string) => expect.objectContaining({ code })

  it('makes a change and its record: numbered, timed, chained, with what it replaced', async () => {
    const { sql, decisions, clock } = await open()
    const first = await decisions.apply(set('a', 1), { reason: 'start' }, by)
    clock.advance(5_000)
    const second = await decisions.apply(set('a', 2), { reason: 'better', p: 0.01 }, { kind: 'rule', name: 'release' })
    expect(await readRegister(sql.db(), 'a')).toEqual({ value: 2 })
    expect(first).toMatchObject({ number: 1, before: null, previousHash: '0'.repeat(64), undoes: null, undoneBy: null })
    expect(second).toMatchObject({
      number: 2,
      timeMs: first.timeMs + 5_000,
      change: set('a', 2),
      before: { value: 1 },
      evidence: { reason: 'better', p: 0.01 },
      by: { kind: 'rule', name: 'release' },
      previousHash: first.hash,
    })
    expect(second.id > first.id).toBe(true)
    expect(hashDecision(second)).toBe(second.hash)
    expect(await decisions.get(second.id)).toEqual(second)
  })

  it.each([
    ['of an unknown kind', { kind: 'nothing.known', subject: 'a', detail: {} }, {}, rejection('DECISION_KIND_UNKNOWN')],
    [
      'its kind refuses',
      { kind: 'register.set', subject: 'a', detail: { value: 'x' } },
      {},
      new Error('value must be a number'),
    ],
    [
      'that fails after it wrote',
      { kind: 'register.set', subject: 'a', detail: { value: 9, refuse: true } },
      {},
      new Error('refused by the domain'),
    ],
    ['without a subject', set('', 1), {}, rejection('DECISION_INVALID')],
    ['whose subject has a line break', set('a\nb', 1), {}, rejection('DECISION_INVALID')],
    ['whose evidence is a cycle', set('a', 1), cycle, rejection('DECISION_INVALID')],
  ])('leaves nothing of a change %s', async (_, change, evidence, failure) => {
    const { sql, decisions } = await open()
    const kept = await decisions.apply(set('a', 1), {}, by)
    await expect(decisions.apply(change as Change, evidence, by)).rejects.toEqual(failure)
    expect(await readRegister(sql.db(), 'a')).toEqual({ value: 1 })
    expect(await decisions.list()).toEqual([kept])
    expect(await decisions.verify()).toEqual({ ok: true, count: 1, head: kept.hash })
  })

  it('keeps whatever evidence it is given, as JSON', async () => {
    const { decisions } = await open()
    const evidence = {
      when: new Date(0),
      p: Number.NaN,
      bound: Number.NEGATIVE_INFINITY,
      count: 2n ** 60n,
      text: 'é \0 \ud800 🎉',
      none: undefined,
      list: [1, undefined, { b: 1, a: null }],
      __proto__: { inherited: 1 },
    }
    const decision = await decisions.apply(set('a', 1), evidence, by)
    expect((await decisions.get(decision.id)).evidence).toEqual({
      when: '1970-01-01T00:00:00.000Z',
      p: 'NaN',
      bound: '-Infinity',
      count: '1152921504606846976',
      text: 'é \0 \ufffd 🎉',
      list: [1, null, { b: 1, a: null }],
    })
    expect(await decisions.verify()).toMatchObject({ ok: true })
  })

  it('undoes: puts back what was replaced, and says so on both sides', async () => {
    const { sql, decisions } = await open()
    await decisions.apply(set('a', 1), {}, by)
    const second = await decisions.apply(set('a', 2), {}, by)
    const undo = await decisions.undo(second.id, { kind: 'system', name: 'test' })
    expect(await readRegister(sql.db(), 'a')).toEqual({ value: 1 })
    expect(undo).toMatchObject({
      number: 3,
      change: set('a', 2),
      before: { value: 2 },
      undoes: second.id,
      undoneBy: null,
      by: { kind: 'system', name: 'test' },
    })
    expect((await decisions.get(second.id)).undoneBy).toBe(undo.id)
  })

  it('undoes the first change of a subject: nothing is there again', async () => {
    const { sql, decisions } = await open()
    const first = await decisions.apply(set('a', 1), {}, by)
    await decisions.undo(first.id, by)
    expect(await readRegister(sql.db(), 'a')).toBeNull()
  })

  it('refuses to undo what is unknown, undone, not undoable or no longer in force, and changes nothing', async () => {
    const { sql, decisions } = await open()
    const first = await decisions.apply(set('a', 1), {}, by)
    const second = await decisions.apply(set('a', 2), {}, by)
    const noted = await decisions.apply(note('a'), {}, by)
    await decisions.apply(set('b', 5), {}, by)
    const nobody = '00000000-0000-7000-8000-000000000000' as DecisionId
    await expect(decisions.undo(nobody, by)).rejects.toMatchObject({ code: 'DECISION_NOT_FOUND' })
    await expect(decisions.undo(noted.id, by)).rejects.toMatchObject({ code: 'DECISION_NOT_UNDOABLE' })
    await expect(decisions.undo(first.id, by)).rejects.toMatchObject({
      code: 'DECISION_SUPERSEDED',
      params: { number: 1, by: 2, id: second.id },
    })
    const undo = await decisions.undo(second.id, by)
    await expect(decisions.undo(second.id, by)).rejects.toMatchObject({
      code: 'DECISION_ALREADY_UNDONE',
      params: { number: 2, by: undo.number, id: undo.id },
    })
    expect(await readRegister(sql.db(), 'a')).toEqual({ value: 1 })
    expect(await decisions.verify()).toMatchObject({ ok: true, count: 5 })
  })

  it('undoes step by step back to the start, and by undoing the undos forward again', async () => {
    const { sql, decisions } = await open()
    const made: Decision[] = []
    for (const value of [1, 2, 3]) made.push(await decisions.apply(set('a', value), {}, by))
    const undos: Decision[] = []
    const states: Replaced[] = []
    for (const decision of made.reverse()) {
      undos.push(await decisions.undo(decision.id, by))
      states.push(await readRegister(sql.db(), 'a'))
    }
    for (const undo of undos.reverse()) {
      await decisions.undo(undo.id, by)
      states.push(await readRegister(sql.db(), 'a'))
    }
    expect(states).toEqual([{ value: 2 }, { value: 1 }, null, { value: 1 }, { value: 2 }, { value: 3 }])
  })

  it('agrees with a list of states on any sequence of applies and undos, and the chain verifies', async () => {
    const { sql, decisions } = await open()
    const action = fc.oneof(
      fc.record({ act: fc.constant('apply' as const), subject: fc.constantFrom('a', 'b'), value: fc.integer() }),
      fc.record({ act: fc.constant('undo' as const), index: fc.nat({ max: 9 }) }),
    )
    const states = new Map<string, Replaced>([
      ['a', null],
      ['b', null],
    ])
    const all: { decision: Decision; before: Replaced; after: Replaced }[] = []
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 10 }), async (actions) => {
        for (const step of actions) {
          if (step.act === 'apply') {
            const before = states.get(step.subject)!
            const decision = await decisions.apply(set(step.subject, step.value), {}, by)
            states.set(step.subject, { value: step.value })
            all.push({ decision, before, after: { value: step.value } })
          } else {
            const target = all.at(-1 - step.index)
            if (!target) continue
            const { subject } = target.decision.change
            const undo = await decisions.undo(target.decision.id, by).catch((error: { code: string }) => error)
            if ('code' in undo) {
              expect(['DECISION_SUPERSEDED', 'DECISION_ALREADY_UNDONE']).toContain(undo.code)
            } else {
              // The law: it was allowed only where the subject stood where the decision had led, and it led back.
              expect(states.get(subject)).toEqual(target.after)
              states.set(subject, target.before)
              all.push({ decision: undo, before: target.after, after: target.before })
            }
          }
        }
        for (const [subject, state] of states) expect(await readRegister(sql.db(), subject)).toEqual(state)
      }),
      { numRuns: 15 },
    )
    // The last decision of a subject that was not refused is always open to undo.
    for (const subject of ['a', 'b']) {
      const [last] = await decisions.list({ subject, limit: 1 })
      if (last) await decisions.undo(last.id, by)
    }
    const count = (await decisions.list({ limit: 1 }))[0]?.number
    expect(await decisions.verify()).toMatchObject({ ok: true, count })
  })

  it('puts decisions made at once in a line: the chain does not fork and every change has its place', async () => {
    const { sql, decisions } = await open()
    const made = await Promise.all(Array.from({ length: 20 }, (_, i) => decisions.apply(set('a', i), {}, by)))
    expect(made.map((decision) => decision.number).sort((x, y) => x - y)).toEqual(made.map((_, i) => i + 1))
    const inOrder = [...made].sort((x, y) => x.number - y.number)
    for (let i = 1; i < inOrder.length; i++) {
      expect(inOrder[i]!.previousHash).toBe(inOrder[i - 1]!.hash)
      expect(inOrder[i]!.before).toEqual(inOrder[i - 1]!.change.detail)
    }
    expect(await readRegister(sql.db(), 'a')).toEqual(inOrder.at(-1)!.change.detail)
    expect(await decisions.verify()).toEqual({ ok: true, count: 20, head: inOrder.at(-1)!.hash })
  })

  it('lets one of several undos of a decision at once win', async () => {
    const { decisions } = await open()
    const decision = await decisions.apply(set('a', 1), {}, by)
    const undos = await Promise.allSettled(Array.from({ length: 5 }, () => decisions.undo(decision.id, by)))
    expect(undos.filter((undo) => undo.status === 'fulfilled')).toHaveLength(1)
    expect(await decisions.verify()).toMatchObject({ ok: true, count: 2 })
  })

  it('lists newest first, by page, subject and kind', async () => {
    const { decisions } = await open()
    for (let i = 0; i < 6; i++) await decisions.apply(set(i % 2 ? 'odd' : 'even', i), {}, by)
    await decisions.apply(note('odd'), {}, by)
    const numbers = async (query?: Parameters<Decisions['list']>[0]) =>
      (await decisions.list(query)).map((decision) => decision.number)
    expect(await numbers()).toEqual([7, 6, 5, 4, 3, 2, 1])
    expect(await numbers({ limit: 3 })).toEqual([7, 6, 5])
    expect(await numbers({ limit: 3, before: 5 })).toEqual([4, 3, 2])
    expect(await numbers({ subject: 'odd' })).toEqual([7, 6, 4, 2])
    expect(await numbers({ subject: 'odd', kind: 'register.set' })).toEqual([6, 4, 2])
    expect(await numbers({ kind: 'nothing' })).toEqual([])
    expect(await numbers({ limit: -1 })).toEqual([7])
  })

  it('explains in a sentence, whether it can be undone and why not, with its neighbours on the subject', async () => {
    const { decisions } = await open()
    const first = await decisions.apply(set('a', 1), {}, by)
    await decisions.apply(set('b', 1), {}, by)
    const second = await decisions.apply(set('a', 2), { reason: 'better' }, by)
    expect(await decisions.explain(second.id)).toEqual({
      decision: second,
      summary: 'Set a to 2.',
      canUndo: true,
      reason: undefined,
      related: [first],
    })
    const undo = await decisions.undo(second.id, by)
    const redo = await decisions.undo(undo.id, by)
    expect((await decisions.explain(undo.id)).summary).toBe('Undid decision 3: Set a to 2.')
    expect((await decisions.explain(redo.id)).summary).toBe('Did again decision 3: Set a to 2.')
    const explained = await decisions.explain(first.id)
    expect(explained.canUndo).toBe(false)
    expect(explained.reason).toContain('decision 5 changed it since')
    expect(explained.related.map((decision) => decision.number)).toEqual([5, 4, 3])
  })

  it('tells watchers after the commit, in order, until they stop, and survives those that fail', async () => {
    const { sql, decisions } = await open()
    const seen: [number, Replaced][] = []
    decisions.watch(() => {
      throw new Error('a watcher failed')
    })
    decisions.watch((async () => {
      throw new Error('a watcher failed later')
    }) as () => void)
    const reads: Promise<void>[] = []
    const stop = decisions.watch((decision) => {
      reads.push(readRegister(sql.db(), 'a').then((state) => void seen.push([decision.number, state])))
    })
    const first = await decisions.apply(set('a', 1), {}, by)
    await Promise.all(reads)
    await decisions.undo(first.id, by)
    await Promise.all(reads)
    stop()
    stop()
    await decisions.apply(set('a', 2), {}, by)
    await expect(decisions.apply({ kind: 'x', subject: 'a', detail: {} }, {}, by)).rejects.toThrow()
    expect(seen).toEqual([
      [1, { value: 1 }],
      [2, null],
    ])
    const order: number[] = []
    decisions.watch((decision) => order.push(decision.number))
    await Promise.all(Array.from({ length: 10 }, (_, i) => decisions.apply(set('b', i), {}, by)))
    expect(order).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
  })

  it('goes on where it was after it is opened again', async () => {
    const openSql = make()
    const first = await openDecisions(openSql)
    const decision = await first.decisions.apply(set('a', 1), {}, by)
    await first.sql.close()
    const again = await openDecisions(openSql, 2)
    const undo = await again.decisions.undo(decision.id, by)
    expect(undo).toMatchObject({ number: 2, previousHash: decision.hash })
    expect(await again.decisions.verify()).toMatchObject({ ok: true, count: 2 })
  })
}
