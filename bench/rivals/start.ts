// Starts a rival in a process group of its own and ends all of it: some leave servers and workers behind.
import { spawn } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { processTree } from '../support/cpu.js'
import type { Subject } from '../support/servers.js'
import type { Outputs, Protocol, Variant } from './rivals.js'

const START_MS = 120_000
const STOP_MS = 15_000
const POLL_MS = 200

export async function startRival(
  variant: Variant,
  protocol: Protocol,
  bin: string,
  model: string,
  expected: Outputs,
): Promise<Subject> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'headrace-rival-'))
  const { program, args, environment } = variant.command({ bin, port, folder })
  const logFile = join(folder, 'rival.log')
  const log = openSync(logFile, 'w')
  const child = spawn(program, args, {
    cwd: folder,
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, PATH: `${bin}:${process.env['PATH']}`, RIVAL_MODEL: model, ...environment },
  })
  let ended: string | undefined
  child.once('error', (error) => {
    ended = error.message
  })
  child.once('exit', (code, signal) => {
    ended = `it ended with ${code === null ? signal : `status ${code}`}`
  })
  const stop = async (): Promise<void> => {
    const members = child.pid === undefined ? [] : processTree(child.pid)
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (child.pid !== undefined) kill(-child.pid, signal)
      if (signal === 'SIGKILL') for (const pid of members) kill(pid, signal)
      for (let waitedMs = 0; waitedMs < STOP_MS && members.some(isAlive); waitedMs += POLL_MS) await sleep(POLL_MS)
    }
    rmSync(folder, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  let problem = 'it did not answer'
  for (let waitedMs = 0; waitedMs < START_MS && ended === undefined; waitedMs += POLL_MS) {
    await sleep(POLL_MS)
    const answer = await ask(url + protocol.path, protocol.body)
    if (typeof answer === 'string') problem = answer
    else if (isDeepStrictEqual(protocol.outputs(answer.json), expected)) return { url, pid: child.pid!, stop }
    else problem = `it answered ${JSON.stringify(answer.json)}`
  }
  const tail = readFileSync(logFile, 'utf8').trim().split('\n').slice(-12).join('\n')
  await stop()
  throw new Error(`${ended ?? problem}\n${tail}`)
}

async function ask(url: string, body: string): Promise<{ readonly json: unknown } | string> {
  try {
    const headers = { 'Content-Type': 'application/json' }
    const answer = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(10_000) })
    const text = await answer.text()
    return answer.ok ? { json: JSON.parse(text) } : `it answered ${answer.status}: ${text.slice(0, 300)}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** A port whose neighbour above is free too: MLServer wants one for gRPC. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = await listenOnce(0)
    if (port !== undefined && (await listenOnce(port + 1)) !== undefined) return port
  }
}

function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
    })
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A zombie answers too, and will not go away before whoever has adopted it looks.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z'
  } catch {
    return false
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It is gone already.
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
