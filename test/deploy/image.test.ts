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

describe('the image', () => {
  it('keeps the S3 client, which is a peer and a tool of tests elsewhere', () => {
    const name = '@aws-sdk/client-s3'
    const { dependencies, devDependencies, peerDependencies } = JSON.parse(read('package.json')) as Record<
      'dependencies' | 'devDependencies' | 'peerDependencies',
      Readonly<Record<string, string>>
    >
    // npm lets a peer win over a dependency of the same name: it has to go first, and there is no other.
    expect([dependencies[name], Object.keys(peerDependencies)]).toEqual([undefined, [name]])
    expect(devDependencies[name]).toMatch(/^\d+\.\d+\.\d+$/)
    const build = read('deploy/Dockerfile')
    const steps = [
      `npm pkg delete peerDependencies peerDependenciesMeta devDependencies.${name}`,
      `npm pkg set "dependencies.${name}=`,
      'npm prune',
    ]
    const places = steps.map((step) => build.indexOf(step))
    expect(places).toEqual(places.filter((at) => at > 0).sort((a, b) => a - b))
  })
})
