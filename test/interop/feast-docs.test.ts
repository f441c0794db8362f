// The Python samples of docs/serve-feasts-clients.md, one after the other in one interpreter, against the features of the shop.
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { ROOT, SHOP, startServe } from '../cli/support.js'
import { commandPath } from './server.js'

const PAGE = readFileSync(join(ROOT, 'docs/serve-feasts-clients.md'), 'utf8')
const blocks = (language: string): string[] =>
  [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text]) => text!)

it('prints what the guide to Feast’s clients says', { timeout: 120_000 }, async ({ skip }) => {
  const command = commandPath('feast')
  if (command === undefined) return skip('feast is not installed')
  const folder = mkdtempSync(join(tmpdir(), 'headrace-feast-docs-'))
  mkdirSync(join(folder, 'models'))
  cpSync(join(SHOP, 'features'), join(folder, 'features'), { recursive: true })
  writeFileSync(
    join(folder, 'headrace.config.ts'),
    "export default { name: 'shop', features: { isScheduled: false } }\n",
  )
  const server = await startServe(folder, '--grpc-port', '0', '--log-level', 'silent')
  try {
    const at = (text: string) => text.replaceAll('127.0.0.1:8080', new URL(server.url).host)
    writeFileSync(join(folder, 'feature_store.yaml'), at(blocks('yaml')[0]!))
    const python = join(dirname(command), 'python3')
    const run = promisify(execFile)
    const { stdout } = await run(python, ['-W', 'ignore', '-c', blocks('python').join('')], { cwd: folder })
    expect(stdout).toBe(blocks('text').join(''))
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
