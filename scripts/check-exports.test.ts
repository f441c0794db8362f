import { describe, expect, it } from 'vitest'
import { checkExports, checkIndexes, exportsOf } from './check-exports.js'

const INDEX = '// Floor 0.\n// What it is for.\n// What it is not.\nexport { a } from "./a.js"\n'
const indexes = (entries: Record<string, string | undefined>) => new Map(Object.entries({ app: INDEX, ...entries }))

describe('checkExports', () => {
  it('passes what exportsOf gives: the root, each domain with its types, and package.json', () => {
    const exports = exportsOf(['core', 'app'])
    expect(Object.keys(exports)).toEqual(['.', './app', './core', './package.json'])
    expect(exports['.']).toEqual({ types: './dist/app/index.d.ts', default: './dist/app/index.js' })
    expect(checkExports(exports, indexes({ core: INDEX }))).toEqual([])
  })

  it('leaves the command line out', () => {
    expect(exportsOf(['app', 'cli'])).toEqual(exportsOf(['app']))
    expect(checkIndexes(indexes({ cli: undefined }))).toEqual([])
  })

  it('refuses a domain without a subpath', () => {
    expect(checkExports(exportsOf(['app']), indexes({ core: INDEX }))).toEqual([
      expect.stringContaining('package.json exports "./core" has to be {"types":"./dist/core/index.d.ts"'),
    ])
  })

  it('refuses a subpath that is no domain', () => {
    expect(checkExports(exportsOf(['app', 'gone']), indexes({}))).toEqual([
      'package.json exports "./gone", which is no domain\'s index.ts',
    ])
  })

  it('refuses a subpath without types, or with the types after the code', () => {
    const { types, default: code } = exportsOf(['core'])['./core'] as { types: string; default: string }
    for (const wrong of [code, { default: code, types }]) {
      expect(checkExports({ ...exportsOf(['app']), './core': wrong }, indexes({ core: INDEX }))).toHaveLength(1)
    }
  })

  it('passes a domain that has no index.ts yet', () => {
    expect(checkExports(exportsOf(['app']), indexes({ core: undefined }))).toEqual([])
  })
})

describe('checkIndexes', () => {
  it('passes an index with three comment lines that names what it exports', () => {
    expect(checkIndexes(indexes({ core: INDEX }))).toEqual([])
  })

  it('refuses a domain without index.ts', () => {
    expect(checkIndexes(indexes({ core: undefined }))).toEqual([
      expect.stringContaining('src/core/index.ts is missing'),
    ])
  })

  it.each([
    ['// One.\n// Two.\nexport { a } from "./a.js"\n', 'fewer than three comment lines'],
    [`${INDEX}export * from './b.js'\n`, 'has an "export *"'],
    [`${INDEX}export * as b from './b.js'\n`, 'has an "export *"'],
  ])('refuses the index %j', (index, problem) => {
    expect(checkIndexes(indexes({ core: index }))).toEqual([expect.stringContaining(problem)])
  })
})
