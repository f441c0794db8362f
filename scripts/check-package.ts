// What a user installs, checked from the packed tarball: its manifest by publint, its types by attw.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'headrace-pack-'))
try {
  // Without scripts: the build that was just checked is packed, not another one.
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: root })
  const tarball = join(folder, readdirSync(folder)[0]!)
  const tools = [
    ['publint', 'run', tarball, '--strict'],
    // The package is ESM only, by decision; asking about its types on a registry would need the network.
    [
      'attw',
      tarball,
      '--profile',
      'esm-only',
      '--no-definitely-typed',
      '--format',
      'ascii',
      '--no-emoji',
      '--no-color',
    ],
  ] as const
  for (const [tool, ...args] of tools) {
    const { status, stdout, stderr } = spawnSync(join(root, 'node_modules/.bin', tool), args, { encoding: 'utf8' })
    if (status === 0) continue
    console.error(`${tool}:\n${stdout}${stderr}`)
    process.exitCode = 1
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
