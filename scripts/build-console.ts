// Builds the console into dist/console when its sources, or the packages it is made of, are others than the last time.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const sources = join(root, 'console')
const cache = join(root, 'node_modules/.cache')
const stamp = join(cache, 'headrace-console')
const PACKAGES = ['react', 'react-dom', 'uplot', 'vite', '@vitejs/plugin-react'] as const

const hash = createHash('sha256')
for (const name of PACKAGES) {
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as {
    version: string
  }
  hash.update(`${name} ${version}\n`)
}
for (const entry of readdirSync(sources, { recursive: true, withFileTypes: true })
  .filter((file) => file.isFile())
  .map((file) => join(file.parentPath, file.name))
  .sort())
  hash.update(`${entry.slice(root.length)}\n`).update(readFileSync(entry))
const wanted = hash.digest('hex')

const isBuilt = existsSync(join(root, 'dist/console/index.html'))
if (!isBuilt || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  const vite = join(root, 'node_modules/vite/bin/vite.js')
  const args = [vite, 'build', '--config', join(sources, 'vite.config.ts'), '--logLevel', 'warn']
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
  mkdirSync(cache, { recursive: true })
  writeFileSync(stamp, wanted)
}
