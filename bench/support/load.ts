// A closed-loop HTTP load: N keep-alive connections, each sends the same request again as soon as it is answered.
// It runs in a process of its own, so that its work is never counted as the server's. wrk is the default where it is
// installed, because it costs the machine least; the Node client counts requests exactly and needs nothing.
import { execFileSync, fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type LoadOptions, type LoadResult, runClient } from './load-client.js'

export type { LoadOptions, LoadResult } from './load-client.js'

let wrkFound: boolean | undefined

export function hasWrk(): boolean {
  if (wrkFound === undefined) {
    try {
      execFileSync('sh', ['-c', 'command -v wrk'], { stdio: 'ignore' })
      wrkFound = true
    } catch {
      wrkFound = false
    }
  }
  return wrkFound
}

/** Runs the load to its end. Warm the server up first with a short one and throw that away. */
export function load(options: LoadOptions): Promise<LoadResult> {
  if ((options.durationMs === undefined) === (options.count === undefined)) {
    throw new Error('A load has either durationMs or count.')
  }
  const engine = options.engine ?? (options.count === undefined && hasWrk() ? 'wrk' : 'node')
  if (engine === 'wrk' && options.count !== undefined)
    throw new Error('wrk has no count: use durationMs, or the engine "node".')
  return engine === 'wrk' ? runWrk(options) : runNode(options)
}

function runNode(options: LoadOptions): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--client'], {
      execArgv: ['--import', import.meta.resolve('tsx')],
      serialization: 'advanced',
    })
    child.once('message', (result) => resolve(result as LoadResult))
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`The load client ended with status ${code} and no result.`)))
    child.send(options)
  })
}

/** wrk reads everything that is not a number from a Lua script; the script prints the result as JSON. */
function luaScript({ body, headers = {} }: LoadOptions): string {
  const bytes = Buffer.from(body ?? '')
  const quoted = Array.from(bytes, (byte) => `\\${String(byte).padStart(3, '0')}`).join('')
  const lines = [`wrk.method = "${body === undefined ? 'GET' : 'POST'}"`, `wrk.body = "${quoted}"`]
  for (const [name, value] of Object.entries(headers))
    lines.push(`wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`)
  lines.push(
    'function done(summary, latency)',
    '  local e = summary.errors',
    '  io.write(string.format(\'\\nRESULT {"requests":%d,"elapsedUs":%d,"p50Us":%d,"p99Us":%d,"maxUs":%d,"errors":%d}\\n\',',
    '    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,',
    '    e.connect + e.read + e.write + e.status + e.timeout))',
    'end',
  )
  return lines.join('\n')
}

async function runWrk(options: LoadOptions): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-load-'))
  try {
    const script = join(folder, 'request.lua')
    writeFileSync(script, luaScript(options))
    const seconds = Math.max(1, Math.round(options.durationMs! / 1000))
    const flags = ['-t1', `-c${options.connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', script, options.url]
    const output =
      options.core === undefined
        ? await outputOf('wrk', flags)
        : await outputOf('taskset', ['-c', String(options.core), 'wrk', ...flags])
    const line = /^RESULT (.+)$/m.exec(output)?.[1]
    if (line === undefined) throw new Error(`wrk gave no result:\n${output}`)
    const result = JSON.parse(line) as Record<'requests' | 'elapsedUs' | 'p50Us' | 'p99Us' | 'maxUs' | 'errors', number>
    return {
      engine: 'wrk',
      requests: result.requests,
      elapsedMs: result.elapsedUs / 1000,
      rate: result.requests / (result.elapsedUs / 1e6),
      p50Ms: result.p50Us / 1000,
      p99Ms: result.p99Us / 1000,
      maxMs: result.maxUs / 1000,
      errors: result.errors,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function outputOf(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`${command} ended with status ${code}:\n${output}`)),
    )
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === '--client') {
  process.once('message', (options) => {
    runClient(options as LoadOptions).then((result) => process.send!(result, () => process.exit(0)))
  })
}
