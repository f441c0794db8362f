// docs/bring-your-own-model.md: its commands in its order, against the shop's fraud models, with MLflow's own client. HEADRACE_TEST_MLFLOW3
// names its interpreter.
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { worldFiles } from '../../examples/shop/world/csv.js'
import { createWorld } from '../../examples/shop/world/world.js'
import { missingLine } from '../../scripts/docs/samples.js'
import { BIN, ROOT, SHOP, startServe } from '../cli/support.js'
import { tempFolder } from '../support/temp-folder.js'

const PAGE = readFileSync(join(ROOT, 'docs/bring-your-own-model.md'), 'utf8')
/** Commands with what the page says they print. What comes before the first output is the installation. */
const SAMPLES = [...PAGE.matchAll(/^```sh\n((?:(?!```)[\s\S])*)^```\n\n```text\n([\s\S]*?)^```/gm)].map(
  ([, commands, output]) => ({ commands: commands!, output: output! }),
)

/** A copy of the repository as far as the page needs it, with a shorter past. */
function copyShop(python: string): { folder: string; bin: string } {
  const folder = tempFolder()
  const shop = join(folder, 'examples/shop')
  for (const part of ['headrace.config.ts', 'features', 'train', 'models/fraud', 'models/fraud-rule'])
    cpSync(join(SHOP, part), join(shop, part), { recursive: true })
  mkdirSync(join(shop, 'data'))
  const world = createWorld({ seed: 7, shoppers: 1_000, sessions: 200, payments: 16_000, pages: 2, weeks: 2 })
  for (const [name, text] of Object.entries(worldFiles(world))) writeFileSync(join(shop, 'data', name), text)
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  // An environment of Python is found by the path it is called by, so no link will do.
  writeFileSync(join(bin, 'python'), `#!/bin/sh\nexec "${python}" "$@"\n`, { mode: 0o755 })
  writeFileSync(join(bin, 'npx'), `#!/bin/sh\nshift\nexec "${process.execPath}" "${BIN}" "$@"\n`, { mode: 0o755 })
  return { folder, bin }
}

it('takes a scikit-learn model to live traffic and back, as the page says', { timeout: 360_000 }, async ({ skip }) => {
  expect(SAMPLES).toHaveLength(7)
  const python = process.env['HEADRACE_TEST_MLFLOW3']
  if (python === undefined) return skip('no Python with mlflow 3 is named by HEADRACE_TEST_MLFLOW3')
  const { folder, bin } = copyShop(python)
  const project = join(folder, 'examples/shop')
  const server = await startServe(folder, project, '--grpc-port', '0', '--log-level', 'error')
  const env = {
    ...process.env,
    PATH: `${bin}:${process.env['PATH']}`,
    MLFLOW_TRACKING_URI: `${server.url}/mlflow`,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT: 'true',
  }
  try {
    for (const { commands, output } of SAMPLES) {
      const here = commands.replaceAll('127.0.0.1:8080', new URL(server.url).host)
      const ended = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', here], { cwd: folder, env }).catch(
        (error: Error & { stdout: string; stderr: string }) => {
          throw new Error(`${commands}\nprinted ${error.stdout}${error.stderr}`)
        },
      )
      expect(missingLine(ended.stdout, output.split('\n')), `${commands}\nprinted ${ended.stdout}`).toBeUndefined()
    }
  } finally {
    await server.stop()
  }
})
