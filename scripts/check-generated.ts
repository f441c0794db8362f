// Generated files against their generators: each is run, what it wrote is compared with what was there, and what was
// there is put back. The exports and the tables of the documentation are compared by their own checks.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** npm scripts and the folders they write; nothing else is in those folders. */
const GENERATORS = [{ script: 'generate:onnx', folder: 'src/serving/onnx/generated' }]

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
  try {
    cpSync(path, kept, { recursive: true })
    const { status, stdout, stderr } = spawnSync('npm', ['run', script], { cwd: root, encoding: 'utf8' })
    if (status !== 0) {
      console.error(`npm run ${script} failed:\n${stdout}${stderr}`)
      process.exitCode = 1
      continue
    }
    const before = contents(kept)
    const after = contents(path)
    for (const file of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(file) === after.get(file)) continue
      console.error(`${folder}/${file} is not what "npm run ${script}" writes: run it and commit the result`)
      process.exitCode = 1
    }
    if (process.exitCode !== 1) continue
    rmSync(path, { recursive: true, force: true })
    cpSync(kept, path, { recursive: true })
  } finally {
    rmSync(kept, { recursive: true, force: true })
  }
}
