// What every OnlineStore promises, in memory or over a network.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { compareTuples } from '../../src/features/compare-values.js'
import type { OnlineEntry, OnlineRow, OnlineStore, OnlineTable, TableMark } from '../../src/features/online/types.js'
import type { Value, ValueType } from '../../src/features/value.js'
import { EventState, event, rowTable, windowTable } from '../support/online.js'

export interface OnlineStoreFixture {
  /** Empty; its window engine is `eventEngine`. Closed by the caller. */
  readonly store: OnlineStore
  /** The store's own time. */
  readonly nowMs: number
}

const VALUES: readonly (readonly [ValueType, readonly Value[]])[] = [
  ['float64', [0, -0, 1.5, Number.MAX_VALUE, Number.MIN_VALUE, Infinity, -Infinity, 0.1 + 0.2, 2 ** 53, null]],
  ['float32', [Math.fround(0.1), -1, null]],
  ['int64', [0, -1, 2 ** 53 - 1, -(2 ** 53 - 1), 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, null]],
  ['int32', [2 ** 31 - 1, -(2 ** 31), null]],
  ['bool', [true, false, null]],
  [
    'string',
    ['', 'a\u0000b', '🙂', '\ud800', 'x\udfff\ud83d', 'é', '\u{10ffff}\ud83d\ude42', 'l'.repeat(70_000), null],
  ],
  ['timestamp', [0, 1_700_000_000_123, -1, null]],
  ['float64[]', [[], [1, -0, Infinity, 0.1], null]],
  ['int64[]', [[1, 2n ** 60n, -5], null]],
  ['string[]', [['', '🙂', '\udc00', 'a\u0000'], [], null]],
  ['bool[]', [[true, false], null]],
  ['float32[3]', [Float32Array.of(0.1, -0, Infinity), null]],
]

/** `make` gives an empty store. */
export function onlineStoreContract(make: () => Promise<OnlineStoreFixture>): void {
  const numbers = rowTable('numbers', ['float64'])
  const names = rowTable('names', ['string', 'int64'])
  const windows = windowTable('windows')

  const rowsOf = async (store: OnlineStore, table: OnlineTable, keys: readonly string[]) =>
    (await store.read([{ table, keys }], 0))[0]!.map(
      (entry) => entry && { eventMs: entry.eventMs, values: entry.values },
    )

  it('gives entries in the order of reads and keys, for any number of tables and keys', async () => {
    const { store, nowMs } = await make()
    await store.writeRows(numbers, [row('a', nowMs, [1]), row('b', nowMs, [2])])
    await store.writeRows(names, [row('a', nowMs - 1, ['x', 7n])])
    await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 5, nowMs - 3) }])
    const answer = await store.read(
      [
        { table: names, keys: ['b', 'a'] },
        { table: numbers, keys: ['b', 'none', 'a', 'b', ''] },
        { table: windows, keys: ['a', 'none', 'a'] },
        { table: numbers, keys: [] },
        { table: rowTable('never', ['int64']), keys: ['a'] },
        { table: numbers, keys: ['a'] },
      ],
      nowMs,
    )
    expect(answer.map((entries) => [...entries].map(plain))).toEqual([
      [undefined, { eventMs: nowMs - 1, values: ['x', 7n] }],
      [
        { eventMs: nowMs, values: [2] },
        undefined,
        { eventMs: nowMs, values: [1] },
        { eventMs: nowMs, values: [2] },
        undefined,
      ],
      [{ eventMs: nowMs - 3, values: [2, 2] }, undefined, { eventMs: nowMs - 3, values: [2, 2] }],
      [],
      [undefined],
      [{ eventMs: nowMs, values: [1] }],
    ])
    expect(await store.read([], nowMs)).toEqual([])
  })

  it('reads thousands of keys at once', async () => {
    const { store, nowMs } = await make()
    const keys = Array.from({ length: 5000 }, (_, i) => `k${i}`)
    expect(
      await store.writeRows(
        numbers,
        keys.map((key, i) => row(key, nowMs, [i])),
      ),
    ).toBe(5000)
    const [entries] = await store.read([{ table: numbers, keys }], nowMs)
    expect(entries!.map((entry) => entry!.values[0])).toEqual(keys.map((_, i) => i))
  })

  it.each(VALUES)('keeps every value of %s to the bit', async (type, values) => {
    const { store, nowMs } = await make()
    const table = rowTable('values', [type, type])
    await store.writeRows(
      table,
      values.map((value, i) => row(String(i), nowMs, [value, null])),
    )
    const entries = await rowsOf(
      store,
      table,
      values.map((_, i) => String(i)),
    )
    expect(entries.map((entry) => entry!.values)).toEqual(values.map((value) => [value, null]))
    expect(entries.some((entry) => entry!.values[0] instanceof Float32Array)).toBe(type.startsWith('float32['))
  })

  it('tells keys of any text apart', async () => {
    const { store, nowMs } = await make()
    const keys = [
      '',
      'a',
      'A',
      'a\u0000',
      'a:b',
      'a|b',
      '\\',
      '*',
      '[a]',
      'é',
      'e\u0301',
      '🙂',
      '\ud83d',
      '\ude42',
      '\ufffd',
      '%00',
    ]
    await store.writeRows(
      numbers,
      keys.map((key, i) => row(key, nowMs, [i])),
    )
    expect((await rowsOf(store, numbers, keys)).map((entry) => entry?.values[0])).toEqual(keys.map((_, i) => i))
    expect((await all(store.scan(numbers))).sort()).toEqual([...keys].sort())
  })

  it('keeps tables apart whose names and keys run together', async () => {
    const { store, nowMs } = await make()
    const [one, other] = [rowTable('t', ['int64']), rowTable('t', ['int64'])]
    const tables = [
      { ...one, name: 'v@1.1' },
      { ...other, name: 'v@1.11' },
      { ...other, name: 'v@1.1:1' },
    ]
    for (const [i, table] of tables.entries())
      await store.writeRows(table, [row('1:k', nowMs, [i]), row('k', nowMs, [i])])
    for (const [i, table] of tables.entries()) {
      expect((await rowsOf(store, table, ['k', '1:k'])).map((entry) => entry!.values)).toEqual([[i], [i]])
      expect((await all(store.scan(table))).sort()).toEqual(['1:k', 'k'])
    }
    await store.drop('v@1.1')
    expect((await store.tables()).sort()).toEqual(['v@1.11', 'v@1.1:1'])
    expect(await rowsOf(store, tables[1]!, ['k'])).toEqual([{ eventMs: nowMs, values: [1] }])
  })

  it('lets the newer row win by event time, then by known time, then by its values, and says how many were newer', async () => {
    const { store, nowMs } = await make()
    const [t, later] = [nowMs - 1000, nowMs]
    const write = (eventMs: number, knownMs: number, value: number) =>
      store.writeRows(numbers, [{ key: 'a', eventMs, knownMs, values: [value] }])
    const read = async () => (await rowsOf(store, numbers, ['a']))[0]!.values[0]
    expect(await write(t, t, 1)).toBe(1)
    expect(await write(t, t, 1)).toBe(0)
    expect(await write(t - 1, later, 2)).toBe(0)
    expect(await write(t, t - 1, 3)).toBe(0)
    expect(await read()).toBe(1)
    expect(await write(t, t + 1, 4)).toBe(1)
    expect(await write(t, t + 1, 3)).toBe(0)
    expect(await read()).toBe(4)
    expect(await write(t, t + 1, 5)).toBe(1)
    expect(await write(t + 1, t, 0)).toBe(1)
    expect(await read()).toBe(0)
  })

  it('ends with the same rows whatever the order and the number of writers', async () => {
    const { store, nowMs } = await make()
    let runs = 0
    const someRow = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      eventMs: fc.integer({ min: nowMs - 3, max: nowMs }),
      knownMs: fc.integer({ min: nowMs - 2, max: nowMs }),
      values: fc.tuple(fc.constantFrom(null, 'x', 'y', '\u{1f642}', '\uffee'), fc.constantFrom(null, 1, 2n ** 60n)),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(someRow, { maxLength: 5 }), { maxLength: 6 }), async (batches) => {
        const table = { ...names, name: `names@1.${++runs}` }
        await Promise.all(batches.map((rows) => store.writeRows(table, rows)))
        const expected = ['a', 'b', 'c'].map((key) => {
          const newest = batches
            .flat()
            .filter((each) => each.key === key)
            .sort((a, b) => a.eventMs - b.eventMs || a.knownMs - b.knownMs || compareTuples(a.values, b.values))
            .at(-1)
          return newest && { eventMs: newest.eventMs, values: newest.values }
        })
        expect(await rowsOf(store, table, ['a', 'b', 'c'])).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  it('gives window states back to their writer, and none where there is none', async () => {
    const { store, nowMs } = await make()
    const state = stateOf(nowMs - 10)
    await store.writeStates(windows, [
      { key: 'a', state },
      { key: 'b', state: stateOf(nowMs - 20) },
    ])
    const [a, none, b] = await store.readStates(windows, ['a', 'none', 'b'])
    expect(none).toBeUndefined()
    expect([a!.newestEventMs, b!.newestEventMs]).toEqual([nowMs - 10, nowMs - 20])
    a!.add(event(nowMs - 5, 4))
    await store.writeStates(windows, [
      { key: 'a', state: a },
      { key: 'b', state: undefined },
      { key: 'none', state: undefined },
    ])
    expect((await store.read([{ table: windows, keys: ['a', 'b'] }], nowMs))[0]!.map(plain)).toEqual([
      { eventMs: nowMs - 5, values: [2, 5] },
      undefined,
    ])
    expect(await store.readStates(windows, [])).toEqual([])
    expect(await all(store.scan(windows))).toEqual(['a'])
  })

  it('has no entry for a state whose longest window holds no event at the moment of the read', async () => {
    const { store, nowMs } = await make()
    await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 10) }])
    const at = async (atMs: number) => (await store.read([{ table: windows, keys: ['a'] }], atMs))[0]![0]
    expect(await at(nowMs - 10)).toBeUndefined()
    expect(await at(nowMs)).toBeDefined()
    expect(await at(nowMs + 3_600_000)).toBeUndefined()
  })

  it('commits states and the position that they are of together', async () => {
    const { store, nowMs } = await make()
    expect(await store.position(windows, 'clicks')).toBeUndefined()
    await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 1) }], { stream: 'clicks', at: { '0': '5' } })
    await store.writeStates(windows, [], { stream: 'orders', at: { '0': '1', '1': '900719925474099312345' } })
    expect(await store.position(windows, 'clicks')).toEqual({ '0': '5' })
    expect(await store.position(windows, 'orders')).toEqual({ '0': '1', '1': '900719925474099312345' })
    // The memory store serialises at its checkpoints: its own tests say what a state that cannot be serialised does there.
    if (store.kind === 'memory') return
    const broken = stateOf(nowMs - 1)
    broken.serialize = () => {
      throw new Error('cannot be written')
    }
    await expect(
      store.writeStates(
        windows,
        [
          { key: 'b', state: stateOf(nowMs - 1) },
          { key: 'c', state: broken },
        ],
        { stream: 'clicks', at: { '0': '6' } },
      ),
    ).rejects.toThrow('cannot be written')
    expect(await store.position(windows, 'clicks')).toEqual({ '0': '5' })
    expect(await store.readStates(windows, ['b', 'c'])).toEqual([undefined, undefined])
  })

  it('keeps a mark beside what it is about, until the table is dropped', async () => {
    const { store, nowMs } = await make()
    const mark: TableMark = { fingerprint: 'ab', throughKnownMs: nowMs, seamMs: null, keys: 1, writtenMs: nowMs }
    expect(await store.readMark(numbers)).toBeUndefined()
    await store.writeMark(numbers, mark)
    await store.writeRows(numbers, [row('a', nowMs, [1])])
    expect(await store.readMark(numbers)).toEqual(mark)
    await store.writeMark(numbers, { ...mark, seamMs: 5, throughKnownMs: null })
    expect(await store.readMark(numbers)).toEqual({ ...mark, seamMs: 5, throughKnownMs: null })
    await store.drop(numbers.name)
    expect(await store.readMark(numbers)).toBeUndefined()
  })

  it('lists the tables that hold something, and forgets all of one that is dropped', async () => {
    const { store, nowMs } = await make()
    expect(await store.tables()).toEqual([])
    await store.writeRows(numbers, [row('a', nowMs, [1])])
    await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 1) }], { stream: 's', at: { '0': '1' } })
    expect((await store.tables()).sort()).toEqual([numbers.name, windows.name])
    await store.drop(windows.name)
    await store.drop('never@1.1')
    expect(await store.tables()).toEqual([numbers.name])
    expect(await store.position(windows, 's')).toBeUndefined()
    expect(await store.readStates(windows, ['a'])).toEqual([undefined])
    expect(await all(store.scan(windows))).toEqual([])
    expect(await rowsOf(store, numbers, ['a'])).toEqual([{ eventMs: nowMs, values: [1] }])
    await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 1) }])
    expect((await store.tables()).sort()).toEqual([numbers.name, windows.name])
  })

  it('scans every key that stays, while others come and go', async () => {
    const { store, nowMs } = await make()
    const staying = Array.from({ length: 3000 }, (_, i) => `stays${i}`)
    await store.writeRows(
      numbers,
      staying.map((key) => row(key, nowMs - 10, [1])),
    )
    const seen = new Set<string>()
    let batches = 0
    for await (const keys of store.scan(numbers)) {
      for (const key of keys) seen.add(key)
      if (++batches > 5) continue
      const more = Array.from({ length: 500 }, (_, i) => row(`comes${batches}.${i}`, nowMs, [1]))
      await store.writeRows(numbers, [...more, row(staying[batches]!, nowMs, [2])])
    }
    expect(staying.filter((key) => !seen.has(key))).toEqual([])
  })

  it('is flushed when it says so', async () => {
    const { store, nowMs } = await make()
    await store.writeRows(numbers, [row('a', nowMs, [1])])
    await expect(store.flush()).resolves.toBeUndefined()
  })
}

export function row(key: string, eventMs: number, values: readonly Value[]): OnlineRow {
  return { key, eventMs, knownMs: eventMs, values }
}

export function stateOf(...eventsMs: readonly number[]): EventState {
  const state = new EventState(3_600_000)
  for (const eventMs of eventsMs) state.add(event(eventMs, 1))
  return state
}

export async function all(batches: AsyncIterable<readonly string[]>): Promise<string[]> {
  const keys: string[] = []
  for await (const batch of batches) keys.push(...batch)
  return keys
}

function plain(entry: OnlineEntry | undefined): { eventMs: number; values: readonly Value[] } | undefined {
  return entry && { eventMs: entry.eventMs, values: [...entry.values] }
}
