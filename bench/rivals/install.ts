// Each rival lives in a virtual environment of its own beside this file, made from its frozen requirements.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const LONGEST_INSTALL_MS = 15 * 60_000

/** The `bin` folder of the rival's environment, or why there is none. */
export type Installed = { readonly bin: string } | { readonly reason: string }

/** Installs what is not installed yet; an environment of other requirements is made anew. */
export function install(name: string): Installed {
  const requirements = fileURLToPath(new URL(`requirements/${name}.txt`, import.meta.url))
  const folder = fileURLToPath(new URL(`.venv-${name}`, import.meta.url))
  const stamp = `${folder}/installed.txt`
  const wanted = readFileSync(requirements, 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return { bin: `${folder}/bin` }
  console.log(`installing ${name}`)
  rmSync(folder, { recursive: true, force: true })
  for (const [command, args] of [
    ['python3', ['-m', 'venv', folder]],
    [`${folder}/bin/pip`, ['install', '--quiet', '--disable-pip-version-check', '--requirement', requirements]],
  ] as const) {
    const { status, error, stderr } = spawnSync(command, args, { timeout: LONGEST_INSTALL_MS, encoding: 'utf8' })
    if (status === 0) continue
    rmSync(folder, { recursive: true, force: true })
    return { reason: error?.message ?? stderr.trim().split('\n').at(-1) ?? `${command} ended with status ${status}` }
  }
  writeFileSync(stamp, wanted)
  return { bin: `${folder}/bin` }
}
