import { describe, expect, it } from 'vitest'
import { importsOf } from './imports.js'

const specifiers = (source: string): string[] => importsOf(source).map(({ specifier }) => specifier)

describe('importsOf', () => {
  it('finds every form an import takes', () => {
    const source = `
      import './side-effect.js'
      import one from "./default.js"
      import * as all from './all.js'
      import type { T } from './type.js'
      import two, { type U, from as x } from './mixed.js'
      import {
        long,
      } from
        './lines.js'
      export { a } from './named.js'
      export type { B } from './exported-type.js'
      export * from './star.js'
      export * as ns from './star-as.js'
      const later = await import('./dynamic.js')
      let shape: import('./inline-type.js').Shape
      import { dot } from '.'
      import { afterDot } from './after-dot.js'
    `
    expect(specifiers(source)).toEqual([
      './side-effect.js',
      './default.js',
      './all.js',
      './type.js',
      './mixed.js',
      './lines.js',
      './named.js',
      './exported-type.js',
      './star.js',
      './star-as.js',
      './dynamic.js',
      './inline-type.js',
      '.',
      './after-dot.js',
    ])
  })

  it('finds nothing in comments, strings, templates, regular expressions and declarations', () => {
    const source = [
      "// import x from './comment.js'",
      "/* import y from './block.js' */",
      `const a = "import b from './string.js'"`,
      `const c = \`import d from './template.js' \${e.import('./member.js')} \``,
      "const f = /import g from '.\\/regex.js'/.test(h)",
      "export const from = './declared.js'",
      'export { local }',
      "const url = new URL('./not-an-import.js', import.meta.url)",
    ].join('\n')
    expect(specifiers(source)).toEqual([])
  })

  it('finds imports after a template with braces in its expressions, and inside such an expression', () => {
    const source = `const a = \`\${{ b: \`}\` }.b}\${await import('./inside.js')}\`\nimport './after.js'`
    expect(specifiers(source)).toEqual(['./inside.js', './after.js'])
  })

  it('finds imports after quotes and slashes that a regular expression or a division holds', () => {
    const source = "const a = b.replace(/['`\"/]/g, '')\nconst half = (c) / 2 / d\nimport './after.js'"
    expect(specifiers(source)).toEqual(['./after.js'])
  })

  it('gives the line of the specifier', () => {
    expect(importsOf("/*\n*/\nimport {\n  a,\n} from './a.js'\n`\n`\nimport './b.js'")).toEqual([
      { specifier: './a.js', line: 5 },
      { specifier: './b.js', line: 8 },
    ])
  })
})
