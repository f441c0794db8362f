// The lock file: no addresses of registries, and an entry for every optional package. A registry that lacks a platform's
// package makes `npm install` leave it out of the lock, silently, and `npm ci` then refuses the lock on every platform.
// `--write` puts such entries in; they have no hash, because the package was not to be had.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface LockEntry {
  readonly version?: string
  readonly resolved?: string
  readonly dev?: boolean
  readonly license?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

export type Lock = Readonly<Record<string, LockEntry>>

interface Missing {
  readonly name: string
  readonly version: string
  readonly parent: LockEntry
}

/** Where `name` is found from the package at `path`: in its own node_modules or in those above it. */
function isLocked(lock: Lock, path: string, name: string): boolean {
  for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (`${folder === '' ? '' : `${folder}/`}node_modules/${name}` in lock) return true
    if (folder === '') return false
  }
}

function missing(lock: Lock): Missing[] {
  return Object.entries(lock).flatMap(([path, parent]) =>
    Object.entries(parent.optionalDependencies ?? {})
      .filter(([name]) => !isLocked(lock, path, name))
      .map(([name, version]) => ({ name, version, parent })),
  )
}

export function checkLock(lock: Lock): string[] {
  const absent = missing(lock).map(
    ({ name, version }) => `package-lock.json has no ${name}@${version}, and npm ci fails: run "npm run generate:lock"`,
  )
  const addressed = Object.entries(lock)
    .filter(([path, { resolved }]) => path !== '' && resolved?.startsWith('http'))
    .map(([path]) => `package-lock.json gives an address for ${path}: run "npm install" with the repository's .npmrc`)
  return [...absent, ...addressed]
}

const CPUS: Readonly<Record<string, string>> = { armv7: 'arm' }

/** The lock with an entry for each package that is missing, its platform read from its name (`…-linux-x64-musl`). */
export function completeLock(lock: Lock): Lock {
  const entries: [string, LockEntry][] = missing(lock).map(({ name, version, parent }) => {
    const platform = /[-/](android|darwin|linux|win32)-(\w+?)(?:-(musl|gnu))?$/.exec(name)
    if (platform === null || !/^\d/.test(version)) {
      throw new Error(`${name}@${version} is no platform's package of an exact version: it has to be installed`)
    }
    const [, os, cpu, libc] = platform as unknown as [string, string, string, string | undefined]
    const entry = {
      version,
      cpu: [CPUS[cpu] ?? cpu],
      ...(parent.dev === true ? { dev: true } : {}),
      ...(libc === undefined ? {} : { libc: [libc === 'musl' ? 'musl' : 'glibc'] }),
      ...(parent.license === undefined ? {} : { license: parent.license }),
      optional: true,
      os: [os],
    }
    return [`node_modules/${name}`, entry]
  })
  return Object.fromEntries([...Object.entries(lock), ...entries].sort(([a], [b]) => a.localeCompare(b, 'en')))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = new URL('../package-lock.json', import.meta.url)
  const content = JSON.parse(readFileSync(file, 'utf8')) as { packages: Lock }
  if (process.argv.includes('--write')) {
    content.packages = completeLock(content.packages)
    writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
  }
  for (const problem of checkLock(content.packages)) {
    console.error(problem)
    process.exitCode = 1
  }
}
