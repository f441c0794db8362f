import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJsonInTurns } from './json-in-turns.js'

const LONG = Array.from({ length: 3000 }, (_, i) => ({
  id: `p-${i}`,
  text: 'a, "b" [c] {d} \\ é 💧',
  values: [i, [i / 7], null],
}))

async function outcome(parse: () => unknown): Promise<unknown> {
  try {
    return { value: await parse() }
  } catch (error) {
    return { message: (error as Error).message }
  }
}

/** As JSON.parse: the same value, or the same message. */
async function expectSame(text: string): Promise<void> {
  expect(await outcome(() => parseJsonInTurns(text))).toEqual(await outcome(() => JSON.parse(text)))
}

describe('JSON in turns', () => {
  it('gives what JSON.parse gives, whatever stands around a long list', async () => {
    const property = fc.asyncProperty(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.jsonValue(),
      async (members, odd) => {
        const items = [...LONG.slice(0, 800), odd, ...LONG.slice(0, 800)]
        await expectSame(JSON.stringify({ few: [odd], ...members, items, more: [odd] }))
        await expectSame(JSON.stringify({ items, ...members }, null, 2))
      },
    )
    await fc.assert(property, { numRuns: 10 })
  })

  const list = JSON.stringify(LONG)
  it.each([
    ['a list of that name comes again', `{"a":${list},"a":1}`],
    ['the list is in another list', `[${list}]`],
    ['the list is the text', list],
    ['another member is what stands for the list', `{"a":${list},"b":"\\u0000list"}`],
    ['a member that stands for the list takes its place', `{"a":${list},"a":1,"b":"\\u0000list"}`],
    ['its name is __proto__', `{"__proto__":${list}}`],
    ['a comma is too many at the end', `{"a":${list.slice(0, -1)},]}`],
    ['a comma is too many at the beginning', `{"a":[${' '.repeat(40_000)},${list.slice(1)}}`],
    ['an item is damaged', `{"a":${list.replace('"p-2000"', 'p-2000')}}`],
    ['a bracket is another', `{"a":${list.slice(0, -1)}}}`],
    ['the list stands where a name should', `{${list}:1}`],
    ['the text ends in the middle', `{"a":${list.slice(0, -40)}`],
    ['a text does not end', `{"a":${list},"b":"\\`],
    ['something follows', `{"a":${list}} 1`],
  ])('gives or throws the same when %s', async (_, text) => {
    await expectSame(text)
  })

  it('lets others have their turn', async () => {
    let turns = 0
    let isDone = false
    const count = () => {
      turns++
      if (!isDone) setImmediate(count)
    }
    count()
    await parseJsonInTurns(`{"a":${list}}`)
    isDone = true
    expect(turns).toBeGreaterThan(list.length / 40_000)
  })
})
