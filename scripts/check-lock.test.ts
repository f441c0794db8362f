import { describe, expect, it } from 'vitest'
import { checkLock, completeLock, type Lock } from './check-lock.js'

const LOCK: Lock = {
  '': {},
  'node_modules/tool': {
    version: '1.2.3',
    dev: true,
    license: 'MIT',
    optionalDependencies: { '@tool/linux-x64': '1.2.3', '@tool/linux-x64-musl': '1.2.3', '@tool/win32-arm64': '1.2.3' },
  },
  'node_modules/@tool/linux-x64': { version: '1.2.3' },
}

describe('the lock file', () => {
  it('misses a package that no entry stands for', () => {
    expect(checkLock(LOCK)).toEqual([
      expect.stringContaining('no @tool/linux-x64-musl@1.2.3'),
      expect.stringContaining('no @tool/win32-arm64@1.2.3'),
    ])
  })

  it('is complete with entries that name their platform', () => {
    const lock = completeLock(LOCK)
    expect(checkLock(lock)).toEqual([])
    expect(lock['node_modules/@tool/linux-x64-musl']).toEqual({
      version: '1.2.3',
      cpu: ['x64'],
      dev: true,
      libc: ['musl'],
      license: 'MIT',
      optional: true,
      os: ['linux'],
    })
    expect(lock['node_modules/@tool/win32-arm64']).toMatchObject({ cpu: ['arm64'], os: ['win32'] })
    expect(completeLock(lock)).toEqual(lock)
  })

  it('finds a package nested in the one that needs it', () => {
    const nested: Lock = {
      'node_modules/a/node_modules/b': { optionalDependencies: { c: '1.0.0', d: '1.0.0' } },
      'node_modules/a/node_modules/c': {},
      'node_modules/d': {},
    }
    expect(checkLock(nested)).toEqual([])
  })

  it('does not make up an entry whose platform or version is unknown', () => {
    const optional = (name: string, version: string): Lock => ({
      'node_modules/a': { optionalDependencies: { [name]: version } },
    })
    expect(() => completeLock(optional('fast-thing', '1.0.0'))).toThrow('fast-thing@1.0.0')
    expect(() => completeLock(optional('@a/linux-x64', '^1.0.0'))).toThrow('exact version')
  })

  it('gives no address', () => {
    const lock: Lock = { 'node_modules/a': { resolved: 'https://registry.example/a.tgz' } }
    expect(checkLock(lock)).toEqual([expect.stringContaining('an address for node_modules/a')])
  })
})
