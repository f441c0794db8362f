// Generated files against their generators: each is run, what it wrote is compared with what was there, and what was
// there is put back. The exports and the tables of the documentation are compared by their own checks.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** npm scripts and the folders they write; nothing else is in those folders. */
const GENERATORS = [
  { script: 'generate:onnx', folder: 'src/formats/generated' },
  { script: 'generate:oip', folder: 'src/oip/generated' },
]

const root = fileURLToPath(new URL('../', import.meta.url))
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }

function contents(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return [path.slice(folder.length + 1), readFileSync(path, 'utf8')]
    }),
  )
}

for (const { script, folder } of GENERATORS) {
  const path = join(root, folder)
  if (scripts[script] === undefined && !existsSync(path)) continue
  const kept = mkdtempSync(join(tmpdir(), 'headrace-generated-'))
  cpSync(path, kept, { recursive: true })
  const problems = regenerate(script, folder, contents(path))
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) {
    process.exitCode = 1
    rmSync(path, { recursive: true, force: true })
    cpSync(kept, path, { recursive: true })
  }
  rmSync(kept, { recursive: true, force: true })
}

function regenerate(script: string, folder: string, before: ReadonlyMap<string, string>): string[] {
  const { status, stdout, stderr } = spawnSync('npm', ['run', script], { cwd: root, encoding: 'utf8' })
  if (status !== 0) return [`npm run ${script} failed:\n${stdout}${stderr}`]
  const after = contents(join(root, folder))
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((file) => before.get(file) !== after.get(file))
    .map((file) => `${folder}/${file} is not what "npm run ${script}" writes: run it and commit the result`)
}
