import { describe, expect, it } from 'vitest'
import { checkHygiene } from './check-hygiene.js'

describe('checkHygiene', () => {
  it.each([
    ['src/core/a.ts', '// TODO later', 'TODO'],
    ['docs/a.md', 'see /home/ann/headrace', '/home/ann'],
    ['test/a.ts', "const file = '/tmp/x.log'", '/tmp/x.log'],
    ['.ci/run', 'npm config set registry https://registry.npmjs.org/', 'registry.npmjs.org'],
  ])('refuses in %s: %s', (file, text, found) => {
    expect(checkHygiene(file, `\n${text}\n`)).toEqual([
      expect.stringMatching(new RegExp(`^${file}:2 ".*${found}.*" is`)),
    ])
  })

  it.each([
    ['docs/a.md', 'TODO lists'],
    ['src/a.ts', "import a from '../work/b.js'"],
    ['src/a.ts', 'https://example.org/home/page'],
    ['src/registry/a.ts', 'registry.push(version)'],
    ['deploy/Dockerfile', 'VOLUME /data'],
  ])('passes in %s: %s', (file, text) => {
    expect(checkHygiene(file, text)).toEqual([])
  })
})
