import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { play, randomCase, windowView } from '../../../test/support/window-streams.js'
import { HeadraceError, type Random, seededRandom } from '../../core/index.js'
import type { CompiledWindowView } from '../compiled.js'
import type { AggregationSpec } from '../definitions/feature.js'
import type { Value } from '../value.js'
import { createWindowEngine } from './engine.js'
import type { KeyState, WindowEvent } from './types.js'
import { bruteForce } from './window-oracle.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const AT = Date.UTC(2026, 10, 22, 12, 30, 30)

function event(eventMs: number, values: readonly Value[], id?: string, knownMs = eventMs): WindowEvent {
  return { eventMs, knownMs, id, values }
}

function read(state: KeyState, atMs: number): Value[] | undefined {
  const into: Value[] = []
  return state.read(atMs, into, 0) ? into : undefined
}

function filled(view: CompiledWindowView, events: readonly WindowEvent[]): KeyState {
  const state = createWindowEngine(view).create()
  for (const one of events) state.add(one)
  return state
}

/** The one feature over an hour, of events a minute apart that end a minute before AT. */
function computed(spec: AggregationSpec, values: readonly Value[], column: string | undefined = 'amount'): Value {
  const view = windowView({
    hopMs: MINUTE,
    columns: ['amount', 'quantity'],
    features: [{ ...(column !== undefined && { column }), spec, windowMs: HOUR }],
  })
  const events = values.map((value, i) =>
    event(AT - (values.length - i) * MINUTE, Array.isArray(value) ? value : [value, null]),
  )
  return read(filled(view, events), AT)![0]!
}

const counting = (options: Partial<Parameters<typeof windowView>[0]> = {}) =>
  windowView({
    hopMs: MINUTE,
    columns: ['amount'],
    features: [{ spec: { op: 'count' }, windowMs: 10 * MINUTE }],
    ...options,
  })

describe('what a window holds', () => {
  it('is everything from its start on, that moment included, to before its end', () => {
    const exact = counting({ windowing: 'exact' })
    const events = [AT - 10 * MINUTE - 1, AT - 10 * MINUTE, AT - 1, AT, AT + 1].map((atMs) => event(atMs, [1]))
    expect(read(filled(exact, events), AT)).toEqual([2])
  })

  it('begins at a whole hop when it is a sawtooth', () => {
    // 12:20:30 lies in the hop from 12:20:00 on.
    const hopMs = AT - 10 * MINUTE - 30_000
    const events = [hopMs - 1, hopMs].map((atMs) => event(atMs, [1]))
    expect(read(filled(counting(), events), AT)).toEqual([1])
  })

  it('counts an event of one id once, that known first, for as long as a late one still counts', () => {
    const view = counting({
      latenessMs: 5 * MINUTE,
      features: [{ column: 'amount', spec: { op: 'sum' }, windowMs: HOUR }],
    })
    const state = createWindowEngine(view).create()
    expect(state.add(event(AT - 20 * MINUTE, [1], 'a'))).toBe('added')
    expect(state.add(event(AT - 18 * MINUTE, [10], 'a'))).toBe('duplicate')
    expect(state.add(event(AT - 5 * MINUTE, [100], 'a'))).toBe('added')
    expect(read(state, AT)).toEqual([101])
  })

  it('knows a key while its longest window holds an event, whatever the filters say', () => {
    const none = () => false
    const view = counting({
      features: [
        { spec: { op: 'count' }, windowMs: MINUTE },
        { column: 'amount', spec: { op: 'sum' }, windowMs: HOUR, where: none },
      ],
    })
    const state = filled(view, [event(AT - 30 * MINUTE, [5])])
    expect(read(state, AT)).toEqual([0, null])
    expect(read(state, AT + HOUR)).toBeUndefined()
    expect(read(state, AT - 30 * MINUTE)).toBeUndefined()
  })

  it('leaves out what is before every window that can still be read, and says so', () => {
    const state = filled(counting(), [event(AT, [1])])
    expect(state.evict(AT + 5 * MINUTE)).toBe(false)
    expect(state.add(event(AT - 20 * MINUTE, [1]))).toBe('expired')
    expect(state.newestEventMs).toBe(AT)
    expect(state.evict(AT + HOUR)).toBe(true)
    expect(state.newestEventMs).toBeUndefined()
  })

  it('reads no further back than it has forgotten', () => {
    const state = filled(counting(), [event(AT - MINUTE, [1]), event(AT, [1])])
    state.evict(AT + MINUTE)
    expect(read(state, AT)).toEqual(read(state, AT + MINUTE))
  })
})

describe('aggregations', () => {
  const cases: [AggregationSpec, readonly Value[], Value][] = [
    [{ op: 'count' }, [1, null, Number.NaN], 3],
    [{ op: 'sum' }, [1e16, 1, -1e16, null], 1],
    [{ op: 'sum' }, [null, Number.NaN, 'text'], null],
    [{ op: 'sum' }, [1, Number.POSITIVE_INFINITY], Number.POSITIVE_INFINITY],
    [{ op: 'sum' }, [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY], null],
    [{ op: 'sum' }, [2n ** 53n + 1n, true], 2 ** 53],
    [{ op: 'mean' }, [0.1, 0.2, 0.3, -0], 0.15],
    [{ op: 'min' }, [3, -0, null], 0],
    [{ op: 'max' }, [null, null], null],
    [{ op: 'variance' }, [1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16], 22.5],
    [{ op: 'variance' }, [1, Number.POSITIVE_INFINITY], null],
    [{ op: 'first' }, [null, 'b', 'a'], 'b'],
    [{ op: 'last' }, ['b', 'a', null], 'a'],
    [{ op: 'lastK', k: 2 }, [1, 2, 3, null], [3, 2]],
    [{ op: 'lastK', k: 2 }, [null], []],
    [{ op: 'topK', k: 2 }, ['b', 'a', 'c', 'c'], ['c', 'a']],
    [{ op: 'distinct' }, [1, 1n, '1', null, 2n ** 60n], 3],
    [{ op: 'approxDistinct', precision: 12 }, ['a', 'b', 'a'], 2],
    [{ op: 'quantile', q: 0.5, accuracy: 0.01 }, [1, 0, 100], 0.9900000000000001],
    [{ op: 'quantile', q: 0.5, accuracy: 0.01 }, [null], null],
    [{ op: 'histogram', edges: [0, 10] }, [-1, 0, 9, 10, null], [1, 2, 1]],
    [{ op: 'histogram', edges: [0] }, [null], [0, 0]],
    [{ op: 'decayedSum', halfLifeMs: MINUTE }, [null], null],
    [
      { op: 'currentItems', quantity: 'quantity', k: 2 },
      [
        ['a', 1],
        ['b', 2],
        ['c', 1],
        ['b', 0],
        ['a', 3],
      ],
      ['a', 'c'],
    ],
  ]
  for (const [spec, values, expected] of cases) {
    it(`${spec.op} of ${inspect(values)} is ${inspect(expected)}`, () => {
      const column = spec.op === 'count' || spec.op === 'decayedCount' ? undefined : 'amount'
      expect(computed(spec, values, column)).toEqual(expected)
    })
  }

  it('fade to a half in each half-life', () => {
    expect(computed({ op: 'decayedSum', halfLifeMs: MINUTE }, [8, 4, 2])).toBeCloseTo(3, 14)
    expect(computed({ op: 'decayedCount', halfLifeMs: MINUTE }, [1, null], undefined)).toBeCloseTo(0.75, 14)
  })

  it('order events of one moment by their ids, then by their values', () => {
    const view = counting({ features: [{ column: 'amount', spec: { op: 'lastK', k: 4 }, windowMs: HOUR }] })
    const events = [event(AT - 1, [1], 'b'), event(AT - 1, [9]), event(AT - 1, [2], 'a'), event(AT - 1, [10])]
    expect(read(filled(view, events), AT)).toEqual([[1, 2, 10, 9]])
  })

  it('leave out events that a filter throws on', () => {
    const where = (row: Readonly<Record<string, Value>>) => (row['amount'] as string).length > 0
    const view = counting({ features: [{ spec: { op: 'count' }, windowMs: HOUR, where }] })
    const events = [event(AT - 2, ['a']), event(AT - 1, [null])]
    expect(read(filled(view, events), AT)).toEqual([1])
    expect(bruteForce(view, events, AT)).toEqual([1])
  })

  it('run each filter once per event', () => {
    let runs = 0
    const where = () => ++runs > 0
    const features = [HOUR, MINUTE].map((windowMs) => ({
      column: 'amount',
      spec: { op: 'sum' } as const,
      windowMs,
      where,
    }))
    const state = filled(counting({ features }), [event(AT - 1, [1])])
    state.evict(AT)
    expect(read(state, AT)).toEqual([1, 1])
    expect(runs).toBe(1)
  })
})

describe('laws, on random views and streams', () => {
  const cases = fc.nat().map((seed) => randomCase(seededRandom(seed)))

  it('gives what brute force gives, however it is read, stored, evicted and merged', () => {
    fc.assert(
      fc.property(cases, (one) => {
        expect(play(one, createWindowEngine(one.view), bruteForce).problem).toBeUndefined()
      }),
      { numRuns: 300 },
    )
  })

  it('gives the same whatever order events without ids are added in', () => {
    fc.assert(
      fc.property(cases, fc.nat(), ({ view, events }, seed) => {
        const own = events.map((one) => ({ ...one, id: undefined }))
        const atMs = lastKnown(own)
        const shuffled = filled(view, shuffle(own, seededRandom(seed)))
        expect(read(shuffled, atMs)).toEqual(read(filled(view, own), atMs))
      }),
    )
  })

  it('gives the same merged at a seam as streamed', () => {
    fc.assert(
      fc.property(cases, fc.nat(2000), ({ view, events }, hops) => {
        const engine = createWindowEngine(view)
        const atMs = lastKnown(events)
        const seamMs = (Math.floor(atMs / view.hopMs) - hops) * view.hopMs
        const merged = engine.merge(filled(view, events), filled(view, events), seamMs)
        expect(read(merged, atMs)).toEqual(read(filled(view, events), atMs))
      }),
    )
  })

  it('is the same after a round trip, down to its bytes', () => {
    fc.assert(
      fc.property(cases, ({ view, events }) => {
        const bytes = filled(view, events).serialize()
        expect(Buffer.from(createWindowEngine(view).parse(bytes).serialize())).toEqual(Buffer.from(bytes))
      }),
    )
  })

  it('is stored the same, however often it was stored on the way', () => {
    fc.assert(
      fc.property(cases, fc.nat(), ({ view, events }, seed) => {
        const random = seededRandom(seed)
        const engine = createWindowEngine(view)
        const often = engine.create()
        const once = engine.create()
        // Longer than the windows, so that tiles are dropped.
        const longest = 2 * view.maxWindowMs
        for (let round = 0; round < 3; round++) {
          for (const one of events) {
            const later = { ...one, eventMs: one.eventMs + round * longest, knownMs: one.knownMs + round * longest }
            for (const state of [often, once]) state.add({ ...later, id: one.id && `${one.id}-${round}` })
            if (random.next() < 0.3) often.serialize()
            if (random.next() < 0.3) for (const state of [often, once]) state.evict(later.knownMs)
          }
        }
        expect(Buffer.from(often.serialize()).equals(once.serialize())).toBe(true)
        expect(Buffer.from(often.serialize()).equals(once.serialize())).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('answers nothing else after an eviction', () => {
    fc.assert(
      fc.property(cases, fc.nat(), ({ view, events }, laterMs) => {
        const evicted = filled(view, events)
        const atMs = lastKnown(events)
        evicted.evict(atMs)
        for (const readMs of [atMs, atMs + (laterMs % (2 * view.maxWindowMs))]) {
          expect(read(evicted, readMs)).toEqual(read(filled(view, events), readMs))
        }
      }),
    )
  })
})

describe('stored states', () => {
  const everything = windowView({
    hopMs: MINUTE,
    columns: ['amount', 'item', 'quantity'],
    features: [
      { spec: { op: 'count' }, windowMs: HOUR },
      ...(['sum', 'mean', 'variance', 'min', 'max'] as const).map((op) => ({
        column: 'amount',
        spec: { op },
        windowMs: HOUR,
      })),
      ...(['first', 'last', 'distinct'] as const).map((op) => ({ column: 'item', spec: { op }, windowMs: HOUR })),
      { column: 'item', spec: { op: 'lastK', k: 3 }, windowMs: HOUR },
      { column: 'item', spec: { op: 'topK', k: 3 }, windowMs: HOUR },
      { column: 'item', spec: { op: 'approxDistinct', precision: 6 }, windowMs: HOUR },
      { column: 'amount', spec: { op: 'quantile', q: 0.9, accuracy: 0.01 }, windowMs: HOUR },
      { column: 'amount', spec: { op: 'histogram', edges: [0, 10] }, windowMs: HOUR },
      { column: 'amount', spec: { op: 'decayedSum', halfLifeMs: 90_000 }, windowMs: HOUR },
      { spec: { op: 'decayedCount', halfLifeMs: 90_000 }, windowMs: HOUR },
      { column: 'item', spec: { op: 'currentItems', quantity: 'quantity', k: 5 }, windowMs: HOUR },
      { column: 'amount', spec: { op: 'sum' }, windowMs: HOUR, where: (row) => row['item'] === 'a' },
    ],
  })
  const events = Array.from({ length: 60 }, (_, i) =>
    event(AT - 20 * MINUTE + i * 6_000, [i === 7 ? 1e308 : i / 10 - 1, 'aäb😀'.slice(i % 4), (i * 7) % 3], `id-${i}`),
  )
  const stored = () => {
    const state = filled(everything, events)
    state.evict(AT - 15 * MINUTE)
    return state
  }

  it('are read for ever: version 1', () => {
    const file = new URL('../../../test/fixtures/window-state/version-1.hex', import.meta.url)
    const bytes = Buffer.from(readFileSync(file, 'utf8').trim(), 'hex')
    expect(read(createWindowEngine(everything).parse(bytes), AT)).toEqual(bruteForce(everything, events, AT))
    expect(Buffer.from(stored().serialize()).toString('hex')).toBe(bytes.toString('hex'))
  })

  it('are refused with FEATURE_STATE_CORRUPT whichever byte is changed or missing', () => {
    const engine = createWindowEngine(everything)
    const bytes = stored().serialize()
    const refused = (damaged: Uint8Array) => {
      try {
        engine.parse(damaged)
      } catch (error) {
        return error instanceof HeadraceError && error.code === 'FEATURE_STATE_CORRUPT'
      }
      return false
    }
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at]! ^= 1 << (at % 8)
      expect(refused(damaged), `byte ${at}`).toBe(true)
      expect(refused(bytes.slice(0, at)), `cut at ${at}`).toBe(true)
    }
  })

  it('are read by the same definition written in another order', () => {
    const bytes = stored().serialize()
    const reversed = { ...everything, features: [...everything.features].reverse() }
    const right = bruteForce(everything, events, AT)!
    expect(read(createWindowEngine(reversed).parse(bytes), AT)).toEqual([...right].reverse())
  })

  it('are refused when they are of another definition of the view', () => {
    const other = createWindowEngine({ ...everything, fingerprint: '0badf00d' })
    expect(() => other.parse(stored().serialize())).toThrow(/another definition/)
  })
})

function lastKnown(events: readonly WindowEvent[]): number {
  return events.reduce((last, { knownMs }) => Math.max(last, knownMs), 0) + 1
}

function shuffle<T>(items: readonly T[], random: Random): T[] {
  const shuffled = [...items]
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = random.uint32() % (i + 1)
    ;[shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!]
  }
  return shuffled
}
