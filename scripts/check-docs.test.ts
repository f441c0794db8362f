import { describe, expect, it } from 'vitest'
import { missingLine, samplesOf } from './docs/samples.js'
import { errorsTable, readSection, sameTable, sentencesOf, settingsTables, writeSection } from './docs/tables.js'

const page = (...lines: string[]): string => lines.join('\n')

describe('samplesOf', () => {
  it('takes marked blocks with their lines, folders and outputs, and leaves the others', () => {
    const markdown = page(
      '# Title',
      '```sh',
      'rm -rf /',
      '```',
      '```sh run in=examples/shop',
      'headrace models list',
      '```',
      '',
      '```text output',
      'fraud …',
      '```',
      '```ts check',
      'const a: number = 1',
      '```',
      '```sh serve',
      'npm start',
      '```',
    )
    expect(samplesOf(markdown)).toEqual([
      { kind: 'run', folder: 'examples/shop', line: 6, text: 'headrace models list', output: ['fraud …'] },
      { kind: 'check', folder: '.', line: 13, text: 'const a: number = 1', output: undefined },
      { kind: 'serve', folder: '.', line: 16, text: 'npm start', output: undefined },
    ])
  })

  it('takes a block that is indented in a list', () => {
    expect(samplesOf(page('1. First', '   ```sh run', '   echo a', '   ```'))[0]).toMatchObject({
      text: 'echo a',
      line: 3,
    })
  })

  it.each([
    ['```sh runs\n```', '"sh runs" is none of'],
    ['```sh run in=a;b\n```', 'is none of'],
    ['```ts run\n```', 'is none of'],
    ['```sh run', 'not closed'],
    ['```text output\na\n```', 'an "output" block follows a "run" block'],
    ['```sh run\na\n```\ntext\n```text output\na\n```', 'an "output" block follows a "run" block'],
  ])('refuses %j', (markdown, problem) => {
    expect(() => samplesOf(markdown)).toThrow(problem)
  })
})

describe('missingLine', () => {
  const actual = 'start\n  model fraud, version 2\n{"a":[0.25]}\nend'
  it.each([[['start', 'end']], [['model fraud, version …']], [['{"a":[…]}', '…', '', 'end']]])(
    'finds %j',
    (expected) => {
      expect(missingLine(actual, expected)).toBeUndefined()
    },
  )

  it('names the first line that is missing, or that comes too early', () => {
    expect(missingLine(actual, ['start', 'model'])).toBe('model')
    expect(missingLine(actual, ['end', 'start'])).toBe('start')
    expect(missingLine(actual, ['{"a":[0x25]}'])).toBe('{"a":[0x25]}')
  })
})

describe('generated sections', () => {
  it('replaces what stands between the markers and keeps the rest', () => {
    const first = writeSection('# Page\n\nIntroduction.\n', 'errors', 'old')
    expect(readSection(first, 'errors')).toBe('old')
    const second = writeSection(`${first}\nThe end.\n`, 'errors', 'new')
    expect(readSection(second, 'errors')).toBe('new')
    expect(second).toMatch(/^# Page\n\nIntroduction\.\n[\s\S]*\nThe end\.\n$/)
    expect(second).not.toContain('old')
    expect(readSection('# Page', 'errors')).toBeUndefined()
  })

  it('keeps the sentence of each code, drops codes that are gone and leaves new ones empty', () => {
    const row = { status: 404, retry: false, level: 'info' }
    const before = errorsTable(
      [
        { code: 'A_GONE', ...row },
        { code: 'B_KEPT', ...row },
      ],
      '',
    )
      .replace('`A_GONE` | 404 | no | info |  |', '`A_GONE` | 404 | no | info | Gone. |')
      .replace('`B_KEPT` | 404 | no | info |  |', '`B_KEPT` | 404 | no | info | Kept \\| as it was. |')
    const after = errorsTable(
      [
        { code: 'C_NEW', ...row },
        { code: 'B_KEPT', ...row, status: 409 },
      ],
      before,
    )
    expect(after).toContain('| `B_KEPT` | 409 | no | info | Kept \\| as it was. |')
    expect([...sentencesOf(after)]).toEqual([
      ['B_KEPT', 'Kept \\| as it was.'],
      ['C_NEW', ''],
    ])
  })

  it('reads a table whose columns a formatter has padded as the same table', () => {
    const table = errorsTable([{ code: 'A_B', status: 404, retry: false, level: 'info' }], '').replace(
      '|  |',
      '| Why. |',
    )
    const padded = table.replaceAll(' |', '     |').replaceAll('---', '-------')
    expect(sameTable(table, padded)).toBe(true)
    expect(sameTable(table, padded.replace('404', '405'))).toBe(false)
    expect([...sentencesOf(padded)]).toEqual([['A_B', 'Why.']])
  })

  it('makes one table for each section of the settings', () => {
    const row = { type: '"a" | "b"', default: 'a', description: 'Which.' }
    const tables = settingsTables([
      { path: 'name', variable: 'HEADRACE_NAME', ...row, default: undefined },
      { path: 'server.port', variable: 'HEADRACE_SERVER_PORT', ...row },
    ])
    expect(tables.match(/^### .+$/gm)).toEqual(['### project', '### server'])
    expect(tables).toContain('| `server.port` | `HEADRACE_SERVER_PORT` | `"a" \\| "b"` | `"a"` | Which. |')
    expect(tables).toContain('| `name` | `HEADRACE_NAME` | `"a" \\| "b"` |  | Which. |')
  })
})
