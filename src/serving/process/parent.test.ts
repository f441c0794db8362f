// What only a server in a process of its own can show: that no process with models outlives it, and that signals to its group do not
// reach them.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { onnxArtifact } from '../../../test/support/onnx-artifact.js'
import * as models from '../../../test/support/onnx-models.js'

const DIST = new URL('../../../dist/', import.meta.url).href

/** Starts a script with a version in a process. Resolves with what it prints, line by line, the process id first. */
async function start(bytes: Uint8Array, text: string) {
  const artifact = onnxArtifact(bytes, { manifest: { isolation: 'process' } })
  const source = `
    import { createPlatform, silentLogger, systemClock } from '${DIST}core/index.js'
    import { Deadline } from '${DIST}flow/index.js'
    import { createProcessBackends } from '${DIST}serving/index.js'
    const logger = { ...silentLogger, info: (fields) => console.log(fields.process), child: () => logger }
    const platform = createPlatform({ logger })
    const processes = createProcessBackends()
    const backend = await processes.load(${JSON.stringify(artifact)}, { platform })
    const run = () => backend.run(
      new Map([['x', { name: 'x', datatype: 'FP32', shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) }]]),
      { deadline: Deadline.none(systemClock), outputs: undefined })
    ${text}`
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void parent.kill('SIGKILL'))
  const lines = createInterface({ input: parent.stdout! })[Symbol.asyncIterator]()
  const next = async () => (await lines.next()).value as string | undefined
  const pid = Number(await next())
  return { parent, pid, next }
}

/** One that has ended and was not asked why yet does not count. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function ended(parent: ChildProcess): Promise<number | null> {
  return parent.exitCode === null
    ? new Promise((resolve) => parent.once('exit', resolve))
    : Promise.resolve(parent.exitCode)
}

describe.runIf(process.platform === 'linux')('a server with a process', () => {
  it('leaves none behind when it is killed, in the middle of a run or idle', async () => {
    for (const text of [
      'run().catch(() => 0); console.log("running"); setInterval(() => 0, 1000)',
      'console.log("idle"); setInterval(() => 0, 1000)',
    ]) {
      const { parent, pid, next } = await start(models.slowModel(400), text)
      await next()
      expect(isAlive(pid)).toBe(true)
      parent.kill('SIGKILL')
      await expect.poll(() => isAlive(pid)).toBe(false)
    }
  })

  it('keeps it through signals to its group, until it has drained', async () => {
    const { parent, pid, next } = await start(
      models.slowModel(400),
      `process.on('SIGINT', () => 0)
       process.on('SIGTERM', () => 0)
       console.log('running')
       const answer = await run()
       console.log('answered ' + answer.get('y').data.join())
       await backend.close()
       await processes.close()
       console.log('closed')`,
    )
    expect(await next()).toBe('running')
    process.kill(-parent.pid!, 'SIGINT')
    process.kill(-parent.pid!, 'SIGTERM')
    // Also when a signal does reach it, as from a service manager that signals everything it started.
    process.kill(pid, 'SIGTERM')
    expect(await next()).toBe('answered 1,2,3,4')
    expect(await next()).toBe('closed')
    expect(await ended(parent)).toBe(0)
    expect(isAlive(pid)).toBe(false)
  })

  it('ends by itself when nothing runs, although a version is loaded', async () => {
    const { parent, pid, next } = await start(models.linearModel([1, 2, 3, 4]), `console.log('end of the script')`)
    expect(await next()).toBe('end of the script')
    expect(await ended(parent)).toBe(0)
    await expect.poll(() => isAlive(pid)).toBe(false)
  })
})
