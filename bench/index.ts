// `npm run bench` lists the benches; `npm run bench <name> [flags]` runs one, in a process of its own.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

const here = new URL('./', import.meta.url)
const benches = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(new URL(`${entry.name}/index.ts`, here)))
  .map(({ name }) => name)

/** The question a bench answers: the first line of its README that is text. */
function questionOf(name: string): string {
  const readme = new URL(`${name}/README.md`, here)
  if (!existsSync(readme)) return ''
  const lines = readFileSync(readme, 'utf8').split('\n')
  return lines.find((line) => line !== '' && !line.startsWith('#')) ?? ''
}

const [name, ...flags] = process.argv.slice(2)
if (name === undefined) {
  for (const bench of benches) console.log(`npm run bench ${bench.padEnd(16)} ${questionOf(bench)}`)
} else if (!benches.includes(name)) {
  console.error(`There is no bench "${name}". There are: ${benches.join(', ')}.`)
  process.exitCode = 1
} else {
  const file = new URL(`${name}/index.ts`, here).pathname
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), file, ...flags], { stdio: 'inherit' })
  child.once('exit', (code) => {
    process.exitCode = code ?? 1
  })
}
