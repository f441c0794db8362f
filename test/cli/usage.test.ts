// How the command line speaks: help, wrong usage, exit statuses.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../src/cli/main.js'
import { tempFolder } from '../support/temp-folder.js'
import { headrace, LONG, ROOT } from './support.js'

const program = createProgram({ startServer: () => Promise.reject(new Error('not here')) })
const run = (...args: string[]) => headrace(tmpdir(), ...args)

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves)
}

describe('the command line', LONG, () => {
  it('explains itself without arguments, and each command by help', async () => {
    expect(await run()).toMatchObject({ status: 0, stdout: expect.stringContaining('Usage: headrace'), stderr: '' })
    expect((await run('help', 'models', 'push')).stdout).toMatch(
      /^Usage: headrace models push \[options\] <model> \[file\]/,
    )
    expect((await run('models', 'push', '--help')).stdout).toContain('--allow-same')
    expect(await run('--version')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })

  it.each(leaves(program).map((command) => [command.name(), command] as const))(
    '%s has a description, an example and --json in its help',
    (_, command) => {
      let help = ''
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
      expect(command.description()).not.toBe('')
      expect(help).toMatch(/\nExamples?:\n {2}headrace /)
      expect(help).toContain('--json')
    },
  )

  it('answers wrong usage with status 2, one line, and where to read on', async () => {
    expect(await run('modles')).toEqual({
      status: 2,
      stdout: '',
      stderr: `CLI_USAGE: Unknown command 'modles' (Did you mean models?) See "headrace --help".\n`,
    })
    expect((await run('models')).stderr).toMatch(
      /^CLI_USAGE: Say what to do: headrace models list \| show \| push \| .*See "headrace models --help"\.\n$/,
    )
    expect((await run('serve', '--port', 'many')).stderr).toMatch(/^CLI_USAGE: .*whole number.*"headrace serve --help"/)
    const { status, stderr } = await run('predict', '--json')
    expect(status).toBe(2)
    expect(JSON.parse(stderr)).toEqual({
      code: 'CLI_USAGE',
      error: `Missing required argument 'endpoint'. See "headrace predict --help".`,
    })
  })

  it('answers a route that cannot work with status 2, as any wrong configuration', async () => {
    const arms = [{ route: { kind: 'version', model: 'fraud', version: 1 } }, { route: { kind: 'last-known' } }]
    const route = { kind: 'fallback', name: 'safe', arms }
    const folder = tempFolder()
    writeFileSync(
      join(folder, 'headrace.config.ts'),
      `export default ${JSON.stringify({ endpoints: { fraud: { route } } })}`,
    )
    const { status, stderr } = await headrace(folder, 'serve', '--port', '0')
    expect(stderr).toContain(
      'ROUTE_INVALID: The route is not usable at endpoints.fraud: lastKnown() has nothing to give',
    )
    expect(status).toBe(2)
  })

  it('is silent when the reader of its output stops early', async () => {
    const bin = join(ROOT, 'bin/headrace.js')
    const child = spawn('bash', ['-c', `"${process.execPath}" "${bin}" help serve | head -1; echo "\${PIPESTATUS[0]}"`])
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await new Promise((resolve) => child.once('close', resolve))
    expect(output).toBe('Usage: headrace serve [options] [path]\n0\n')
  })
})
