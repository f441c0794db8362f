// The Python samples of docs/serve-from-tritons-clients.md, each in an interpreter of its own after the page's first one, which all build
// on: `kserve` and `tritonclient.grpc` do not go into one process.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { makeFolder, ROOT, startServe } from '../cli/support.js'
import { commandPath, freePort } from './server.js'

const run = promisify(execFile)
const PAGE = readFileSync(join(ROOT, 'docs/serve-from-tritons-clients.md'), 'utf8')

interface Sample {
  readonly code: string
  readonly output: string
}

const preamble = /^```python\n([\s\S]*?)^```/m.exec(PAGE)![1]!
const samples: readonly Sample[] = [
  ...PAGE.matchAll(/^```python\n((?:(?!```)[\s\S])*)^```\n\n```text\n([\s\S]*?)^```/gm),
].map(([, code, output]) => ({ code: code!, output: output! }))

it('prints what the guide to Triton’s clients says', { timeout: 120_000 }, async ({ skip }) => {
  expect(samples).toHaveLength(3)
  const python = commandPath('python3')
  const isThere = await run(python ?? '', ['-c', 'import tritonclient.http, kserve']).then(
    () => true,
    () => false,
  )
  if (python === undefined || !isThere) return skip('Python with tritonclient and kserve is not installed')
  const { folder, remove } = makeFolder(['purchase-intent'])
  const grpcPort = await freePort()
  const server = await startServe(folder, '--grpc-port', String(grpcPort), '--log-level', 'error')
  try {
    for (const { code, output } of samples) {
      const script = `${preamble}${code}`
        .replaceAll('127.0.0.1:8080', new URL(server.url).host)
        .replaceAll('127.0.0.1:8081', `127.0.0.1:${grpcPort}`)
      expect((await run(python, ['-c', script])).stdout).toBe(output)
    }
  } finally {
    await server.stop()
    remove()
  }
})
