import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../../test/support/temp-folder.js'
import { testPlatform } from '../core/index.js'
import { openRemembered } from './remembered.js'

const platform = testPlatform()
const isValid = (value: unknown): value is { readonly n: number } =>
  typeof value === 'object' && value !== null && 'n' in value && typeof value.n === 'number'
const open = (file: string, maxEntries?: number) =>
  openRemembered({ file, platform, isValid, ...(maxEntries === undefined ? {} : { maxEntries }) })

describe('what is remembered', () => {
  it('is there when it is opened again, the last word on each key', async () => {
    const file = join(tempFolder(), 'deep', 'facts.jsonl')
    const first = await open(file)
    first.set('a', { n: 1 })
    first.set('b', { n: 2 })
    first.set('a', { n: 3 })
    await first.close()
    const second = await open(file)
    expect(second.get('a')).toEqual({ n: 3 })
    expect(second.get('b')).toEqual({ n: 2 })
    expect(second.get('c')).toBe(undefined)
  })

  it('is what can be read of a damaged file', async () => {
    const file = join(tempFolder(), 'facts.jsonl')
    await writeFile(file, '["a",{"n":1}]\nnonsense\n["b",{"n":')
    const remembered = await open(file)
    expect(remembered.get('a')).toEqual({ n: 1 })
    expect(remembered.get('b')).toBe(undefined)
  })

  it('is not what has another form than it should', async () => {
    const file = join(tempFolder(), 'facts.jsonl')
    await writeFile(file, ['["a",{"n":1}]', '["a",null]', '["b",5]', '["c",{"n":"1"}]', '7', '"ab"', '{}'].join('\n'))
    const remembered = await open(file)
    expect(['a', 'b', 'c'].map((key) => remembered.get(key))).toEqual([{ n: 1 }, undefined, undefined])
  })

  it('is written anew when most of it is out of date, and when there is too much of it', async () => {
    const file = join(tempFolder(), 'facts.jsonl')
    for (let i = 0; i < 500; i++) await appendFile(file, `["a",{"n":${i}}]\n`)
    expect((await open(file)).get('a')).toEqual({ n: 499 })
    expect(await readFile(file, 'utf8')).toBe('["a",{"n":499}]\n')
    await writeFile(file, [1, 2, 3].map((n) => `["${n}",{"n":${n}}]\n`).join(''))
    const bounded = await open(file, 2)
    expect([bounded.get('1'), bounded.get('2'), bounded.get('3')]).toEqual([undefined, { n: 2 }, { n: 3 }])
  })

  it('is kept in memory where nothing can be written', async () => {
    const folder = tempFolder()
    await writeFile(join(folder, 'file'), '')
    const remembered = await open(join(folder, 'file', 'facts.jsonl'))
    remembered.set('a', { n: 1 })
    expect(remembered.get('a')).toEqual({ n: 1 })
    await remembered.close()
  })
})
