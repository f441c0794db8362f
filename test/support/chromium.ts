// A real browser for tests: Debian's Chromium, driven by playwright-core.
import { execFileSync } from 'node:child_process'
import process from 'node:process'
import { type Browser, chromium } from 'playwright-core'

const command = process.env['CHROMIUM'] ?? 'chromium'

function found(): string | undefined {
  try {
    return execFileSync('which', [command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/** Why there is no browser for tests here; undefined when there is one. */
export function chromiumMissing(): string | undefined {
  return found() === undefined ? 'chromium is not installed (Debian: apt install chromium)' : undefined
}

export async function startChromium(): Promise<Browser> {
  // Its sandbox needs rights that root in a container has not.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  return chromium.launch({ executablePath: found()!, args: [...args, '--disable-dev-shm-usage'] })
}
