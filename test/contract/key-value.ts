// What every KeyValue promises, in memory or over a network.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { KeyValue } from '../../src/store/index.js'

export interface KeyValueFixture {
  readonly store: KeyValue
  /** Lets this much time pass for the store. */
  readonly advance: (ms: number) => Promise<void>
}

const bytes = (text: string) => new TextEncoder().encode(text)

/** `make` gives an empty store. */
export function keyValueContract(make: () => KeyValueFixture): void {
  const read = async (store: KeyValue, key: string) => {
    const [value] = await store.getMany([key])
    return value && new TextDecoder().decode(value)
  }

  it('gives values in the order of the keys asked for, undefined where there is none', async () => {
    const { store } = make()
    await store.setMany([
      { key: 'a', value: bytes('1') },
      { key: 'b', value: bytes('2') },
    ])
    const values = await store.getMany(['b', 'none', 'a', 'b'])
    expect(values.map((value) => value && new TextDecoder().decode(value))).toEqual(['2', undefined, '1', '2'])
    expect(await store.getMany([])).toEqual([])
  })

  it('keeps any bytes, also none, under any text', async () => {
    const { store } = make()
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), fc.uint8Array(), async (key, value) => {
        await store.setMany([{ key, value }])
        expect([...(await store.getMany([key]))[0]!]).toEqual([...value])
      }),
      { numRuns: 50 },
    )
  })

  it('keeps its own copy of what it is given and of what it gives', async () => {
    const { store } = make()
    const given = Buffer.from('kept')
    await store.setMany([{ key: 'a', value: given }])
    given.fill(0)
    const [got] = await store.getMany(['a'])
    got!.fill(0)
    expect(await read(store, 'a')).toBe('kept')
  })

  it('lets the last of several writes of a key win', async () => {
    const { store } = make()
    await store.setMany([
      { key: 'a', value: bytes('1') },
      { key: 'a', value: bytes('2') },
    ])
    expect(await read(store, 'a')).toBe('2')
  })

  it('forgets a value when its time to live is over, not before', async () => {
    const { store, advance } = make()
    await store.setMany([
      { key: 'short', value: bytes('1'), ttlMs: 1_000 },
      { key: 'long', value: bytes('2'), ttlMs: 60_000 },
      { key: 'kept', value: bytes('3') },
    ])
    await advance(900)
    expect(await read(store, 'short')).toBe('1')
    await advance(200)
    expect(await read(store, 'short')).toBeUndefined()
    expect(await read(store, 'long')).toBe('2')
    await advance(3_600_000)
    expect(await read(store, 'long')).toBeUndefined()
    expect(await read(store, 'kept')).toBe('3')
  })

  it('gives a value written again the time to live of the last write', async () => {
    const { store, advance } = make()
    await store.setMany([{ key: 'a', value: bytes('1'), ttlMs: 1_000 }])
    await store.setMany([{ key: 'a', value: bytes('2') }])
    await store.setMany([{ key: 'b', value: bytes('1') }])
    await store.setMany([{ key: 'b', value: bytes('2'), ttlMs: 1_000 }])
    await advance(1_100)
    expect(await read(store, 'a')).toBe('2')
    expect(await read(store, 'b')).toBeUndefined()
  })

  it('has no value whose time to live is zero or less', async () => {
    const { store } = make()
    await store.setMany([{ key: 'a', value: bytes('1') }])
    await store.setMany([{ key: 'a', value: bytes('2'), ttlMs: 0 }])
    expect(await read(store, 'a')).toBeUndefined()
  })

  it('sets only what is as expected, to the byte', async () => {
    const { store } = make()
    expect(await store.compareAndSet('a', bytes(''), bytes('1'))).toBe(false)
    expect(await store.compareAndSet('a', undefined, bytes('1'))).toBe(true)
    expect(await store.compareAndSet('a', undefined, bytes('2'))).toBe(false)
    expect(await store.compareAndSet('a', bytes('1 '), bytes('2'))).toBe(false)
    expect(await store.compareAndSet('a', bytes('1'), bytes('2'))).toBe(true)
    expect(await read(store, 'a')).toBe('2')
  })

  it('takes a value whose time is over for absent, and keeps what it sets', async () => {
    const { store, advance } = make()
    await store.setMany([{ key: 'a', value: bytes('1'), ttlMs: 1_000 }])
    await advance(1_100)
    expect(await store.compareAndSet('a', bytes('1'), bytes('2'))).toBe(false)
    expect(await store.compareAndSet('a', undefined, bytes('3'))).toBe(true)
    await advance(3_600_000)
    expect(await read(store, 'a')).toBe('3')
  })

  it('lets one of many comparing at once win', async () => {
    const { store } = make()
    const wins = await Promise.all(
      Array.from({ length: 20 }, (_, i) => store.compareAndSet('a', undefined, bytes(String(i)))),
    )
    expect(wins.filter(Boolean)).toHaveLength(1)
  })

  it('counts from zero, up and down, and loses none of many at once', async () => {
    const { store } = make()
    expect(await store.increment('n', 5, 60_000)).toBe(5)
    expect(await store.increment('n', -7, 60_000)).toBe(-2)
    await Promise.all(Array.from({ length: 50 }, () => store.increment('n', 1, 60_000)))
    expect(await store.increment('n', 0, 60_000)).toBe(48)
    expect(await read(store, 'n')).toBe('48')
  })

  it('counts on from an integer that was set', async () => {
    const { store } = make()
    await store.setMany([{ key: 'n', value: bytes('41') }])
    expect(await store.increment('n', 1, 60_000)).toBe(42)
  })

  it("ends a counter's life when it was made plus its time, however often it is incremented", async () => {
    const { store, advance } = make()
    await store.increment('n', 1, 1_000)
    await advance(600)
    expect(await store.increment('n', 1, 1_000)).toBe(2)
    await advance(500)
    expect(await store.increment('n', 1, 1_000)).toBe(1)
  })

  it('refuses to increment what is no integer, and leaves it', async () => {
    const { store } = make()
    await store.setMany([{ key: 'a', value: bytes('1.5') }])
    await expect(store.increment('a', 1, 1_000)).rejects.toMatchObject({ code: 'STORE_NOT_INTEGER' })
    expect(await read(store, 'a')).toBe('1.5')
  })
}
