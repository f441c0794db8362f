// The package as a user gets it: packed, installed into an empty project, each subpath imported in a fresh process.
// Installing needs the registry for the dependencies; where it cannot be reached, this is skipped with the reason.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'

// Budgets. Raise one in the commit that needs it, with the reason beside the number.
/**
 * The packed tarball: compiled code, types, documentation and the example's models. A third of its code came with gRPC (the messages
 * of the protocol and of Triton's model configuration), the model pool, processes and the readers of tree files; a fifth with the feature
 * store: its engine of windows, the plans of training sets, the online stores, streams, checks, Feast's protocol; a quarter with the
 * registry, tracking, releases, gates and access, and 0.11 MB with the console.
 */
const TARBALL_BYTES = 1_900_000
/** Everything installed. ONNX Runtime, with the binaries of five platforms, is 290 MB of it; DuckDB is 70. */
const INSTALLED_BYTES = 480_000_000

const root = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

interface Manifest {
  readonly version: string
  readonly exports: Readonly<Record<string, unknown>>
}

interface Installed {
  readonly folder: string
  readonly tarballBytes: number
}

const folder = await mkdtemp(join(tmpdir(), 'headrace-package-'))
afterAll(() => rm(folder, { recursive: true, force: true }))
const installed = await install()

/** The reason as text where the registry cannot be reached; any other failure throws. */
async function install(): Promise<Installed | string> {
  const project = join(folder, 'project')
  await mkdir(project)
  // Without scripts: what `npm test` has built is packed, not built again beside the tests that use it.
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: root })
  const tarball = join(folder, (await readdir(folder)).find((name) => name.endsWith('.tgz'))!)
  await writeFile(join(project, 'package.json'), '{"name":"a-project","private":true,"type":"module"}')
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=0', '--loglevel=error']
  // The install step of ONNX Runtime would fetch CUDA libraries from outside the registry.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' }
  try {
    await run('npm', ['install', ...flags, tarball], { cwd: project, env })
  } catch (error) {
    const { stderr } = error as { stderr: string }
    const unreachable = /code (ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH)/.exec(stderr)?.[1]
    if (unreachable !== undefined) return `the registry cannot be reached (${unreachable})`
    throw error
  }
  return { folder: project, tarballBytes: (await stat(tarball)).size }
}

async function bytesBelow(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const sizes = entries.map(async (entry) =>
    entry.isFile() ? (await stat(join(entry.parentPath, entry.name))).size : 0,
  )
  return (await Promise.all(sizes)).reduce((total, size) => total + size, 0)
}

if (typeof installed === 'string') {
  it.skip(`the packed package: ${installed}`, () => undefined)
} else {
  describe('the packed package', async () => {
    const home = join(installed.folder, 'node_modules/headrace')
    const manifest = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as Manifest
    const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== './package.json')
    const evaluate = (program: string) =>
      run(process.execPath, ['--input-type=module', '-e', program], { cwd: installed.folder })

    it.each(subpaths)('imports %s without a word on stderr', async (subpath) => {
      const name = `headrace${subpath.slice(1)}`
      const { stdout, stderr } = await evaluate(`console.log(Object.keys(await import('${name}')).length)`)
      expect(stderr).toBe('')
      expect(Number(stdout)).toBeGreaterThan(0)
    })

    it('refuses files that are no subpath', async () => {
      await expect(evaluate("await import('headrace/dist/core/errors.js')")).rejects.toThrow(
        'ERR_PACKAGE_PATH_NOT_EXPORTED',
      )
    })

    it('runs the command line', async () => {
      const { stdout, stderr } = await run('node_modules/.bin/headrace', ['--version'], { cwd: installed.folder })
      expect(stderr).toBe('')
      expect(stdout.trim()).toBe(manifest.version)
    })

    it('holds the licence, the example and the types, but no source maps, tests or build state', async () => {
      const files = (await readdir(home, { recursive: true })).map((file) => file.replaceAll('\\', '/'))
      expect(files).toEqual(expect.arrayContaining(['LICENSE', 'examples/shop/models', 'dist/core/index.d.ts']))
      expect(files.filter((file) => /\.map$|\.test\.|tsbuildinfo/.test(file))).toEqual([])
    })

    it('stays inside its budgets', async () => {
      expect(installed.tarballBytes).toBeLessThan(TARBALL_BYTES)
      expect(await bytesBelow(join(installed.folder, 'node_modules'))).toBeLessThan(INSTALLED_BYTES)
    })
  })
}
