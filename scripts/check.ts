// `npm run check`: everything but the tests that a change has to pass. All checks run, also after one has failed;
// what failed is shown at the end. `npm run check lint docs` runs only those.
import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))

/** In this order, because `docs` and `package` need what `build` and `console` make. */
const CHECKS: readonly { readonly name: string; readonly command: string }[] = [
  { name: 'floors', command: 'jiti scripts/check-floors.ts' },
  { name: 'exports', command: 'jiti scripts/check-exports.ts' },
  { name: 'generated', command: 'tsx scripts/check-generated.ts' },
  { name: 'build', command: 'tsc -b tsconfig.build.json' },
  { name: 'types', command: 'tsc -p tsconfig.json && tsc -p console/tsconfig.json' },
  { name: 'console', command: 'jiti scripts/build-console.ts' },
  { name: 'lint', command: 'biome check --error-on-warnings .' },
  { name: 'lock', command: 'jiti scripts/check-lock.ts' },
  { name: 'hygiene', command: 'jiti scripts/check-hygiene.ts' },
  { name: 'package', command: 'tsx scripts/check-package.ts' },
  { name: 'docs', command: 'tsx scripts/check-docs.ts' },
]

function run(command: string): Promise<{ ok: boolean; output: string; seconds: string }> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now()
    const PATH = `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH']}`
    const child = spawn(command, {
      cwd: root,
      shell: true,
      env: { ...process.env, PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => {
      resolve({ ok: code === 0, output, seconds: ((performance.now() - startMs) / 1000).toFixed(1) })
    })
  })
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !CHECKS.some((check) => check.name === name))
if (unknown.length > 0) {
  console.error(`There is no check "${unknown[0]}". There are: ${CHECKS.map(({ name }) => name).join(', ')}.`)
  process.exit(1)
}
const failed: { name: string; command: string; output: string }[] = []
for (const { name, command } of CHECKS) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const { ok, output, seconds } = await run(command)
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name.padEnd(10)} ${seconds.padStart(6)} s`)
  if (!ok) failed.push({ name, command, output })
}
for (const { name, command, output } of failed) console.error(`\n--- ${name}: ${command}\n${output.trim()}`)
if (failed.length > 0) console.error(`\nFailed: ${failed.map(({ name }) => name).join(', ')}`)
process.exitCode = failed.length > 0 ? 1 : 0
