import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkFloors, FLOORS } from './check-floors.js'

const check = (sources: Record<string, string>) => checkFloors(new Map(Object.entries(sources)))
const rules = (sources: Record<string, string>): string[] => check(sources).map(({ rule }) => rule)

describe('checkFloors', () => {
  it('passes imports that go down, by index.js, and imports of packages', () => {
    const sources = {
      'core/index.ts': "export { id } from './id.js'",
      'core/id.ts': "import { randomBytes } from 'node:crypto'\nexport const id = randomBytes",
      'path/path.ts': "import { id } from '../core/index.js'\nimport { z } from 'zod'",
      'server/oip/parse.ts': "import { id } from '../../core/index.js'\nimport { shape } from '../native/shape.js'",
      'server/native/shape.ts': 'export const shape = 1',
    }
    expect(check(sources)).toEqual([])
  })

  it('refuses an import that goes up, with file, line, import and the floors', () => {
    const sources = { 'core/a.ts': "\nimport type { Leaf } from '../serving/index.js'", 'serving/index.ts': '' }
    expect(check(sources)).toEqual([
      {
        file: 'core/a.ts',
        line: 2,
        import: '../serving/index.js',
        rule: 'an import goes only down: core is on floor 0, serving above it on floor 2',
      },
    ])
  })

  it.each([
    ["import type { Route } from '../route/index.js'", 'a type'],
    ["const route = await import('../route/index.js')", 'at run time'],
    ["let route: import('../route/index.js').Route", 'a type in place'],
    ["export { Route } from '../route/index.js'", 'to pass it on'],
  ])('refuses a sibling: %s (%s)', (source) => {
    expect(rules({ 'serving/a.ts': source, 'route/index.ts': '' })).toEqual([
      expect.stringContaining('siblings never import each other (serving and route are both on floor 2)'),
    ])
  })

  it('refuses the two faces importing each other', () => {
    expect(rules({ 'cli/a.ts': "import '../server/index.js'" })).toEqual([expect.stringContaining('siblings')])
  })

  it.each(['../core/errors.js', '../core/deep/index.js'])('refuses the insides of another domain: %s', (specifier) => {
    expect(rules({ 'path/a.ts': `import '${specifier}'` })).toEqual([
      'another domain is entered only by its index.js: import from core/index.js',
    ])
  })

  it('refuses a circle inside a domain, once, with the shortest way round', () => {
    const sources = {
      'core/a.ts': "import './b.js'",
      'core/b.ts': "import type { C } from './c.js'\nimport { d } from './d.js'",
      'core/c.ts': "import './a.js'",
      'core/d.ts': '',
    }
    expect(check(sources)).toEqual([
      {
        file: 'core/a.ts',
        line: 1,
        import: './b.js',
        rule: 'files never import each other in a circle: core/a.ts -> core/b.ts -> core/c.ts -> core/a.ts',
      },
    ])
  })

  it('refuses a file that imports itself, and a file that imports its own index', () => {
    expect(rules({ 'core/a.ts': "import './a.js'" })).toEqual([expect.stringContaining('core/a.ts -> core/a.ts')])
    expect(rules({ 'core/index.ts': "export { a } from './a.js'", 'core/a.ts': "import '../core/index.js'" })).toEqual([
      expect.stringContaining('core/a.ts -> core/index.ts -> core/a.ts'),
    ])
  })

  it('finds each of two separate circles', () => {
    const sources = {
      'core/a.ts': "import './b.js'",
      'core/b.ts': "import './a.js'",
      'path/c.ts': "import './d.js'",
      'path/d.ts': "import './c.js'",
    }
    expect(rules(sources)).toHaveLength(2)
  })

  it('refuses a folder that is on no floor, and an import from one', () => {
    expect(rules({ 'utils/a.ts': '' })).toEqual([expect.stringContaining('the folder "utils" is on no floor')])
    expect(rules({ 'core/a.ts': "import '../utils/index.js'" })).toEqual(['the folder "utils" is on no floor'])
  })

  it('refuses a source file beside the domains', () => {
    expect(rules({ 'index.ts': '' })).toEqual([expect.stringContaining('belongs to a domain')])
  })

  it('refuses an import that leaves src, and the package by its own name', () => {
    expect(rules({ 'core/a.ts': "import '../../test/support/x.js'" })).toEqual([
      'a source file imports nothing outside src/',
    ])
    expect(rules({ 'core/a.ts': "import 'headrace/core'" })).toEqual([expect.stringContaining('by name')])
  })

  it('knows every folder of src', () => {
    const folders = readdirSync(new URL('../src', import.meta.url), { withFileTypes: true })
    for (const folder of folders) expect(FLOORS.flat()).toContain(folder.name)
  })
})
