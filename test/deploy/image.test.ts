// The image is built where nobody runs the tests: what its build reads must be let through to it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

describe('.dockerignore', () => {
  const allowed = new Set([...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, name]) => name!))

  it('lets through every script of the build, what those import, and the sources that they compile', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Readonly<Record<string, string>> }
    const wanted = new Set<string>()
    const add = (script: string) => {
      if (wanted.has(script)) return
      wanted.add(script)
      for (const [, name] of read(script).matchAll(/from '\.\/(.+)\.js'/g)) add(`scripts/${name}.ts`)
    }
    for (const [script] of scripts['build']!.matchAll(/scripts\/\S+\.ts/g)) add(script)
    expect(wanted.size).toBeGreaterThan(2)
    expect([...wanted, 'src', 'console', 'bin', 'package-lock.json'].filter((name) => !allowed.has(name))).toEqual([])
  })
})
