// A pool over versions in child processes that crash: what callers, watchers and metrics see.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { scriptArtifact } from '../../../test/support/script-artifact.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { type HeadraceError, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { Tensor } from '../../tensor/index.js'
import { createPool } from '../pool.js'
import type { LeafInput, VersionStatus } from '../types.js'
import { createProcessBackends } from './create-process-backends.js'

const platform = { ...testPlatform(), clock: systemClock }
const processes = createProcessBackends()
const pool = createPool({ platform, factories: new Map([['script', processes.load]]) })
afterAll(async () => {
  await pool.close()
  await processes.close()
})

/** Says, as a file, that a run with 7 has begun. */
const begun = (folder: string) => join(folder, 'begun')

/** y = x + 1 after 20 ms; 13 crashes the process, and the first run with 7 has no end. */
const source = (folder: string) => `import { existsSync, writeFileSync } from 'node:fs'
  import { defineScript } from 'headrace'
  const begun = ${JSON.stringify(begun(folder))}
  export default defineScript({
    inputs: { x: 'FP32' },
    outputs: { y: 'FP32' },
    async run({ inputs: { x } }) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (x.data.includes(13)) process.kill(process.pid, 'SIGABRT')
      if (x.data.includes(7) && !existsSync(begun)) {
        writeFileSync(begun, '')
        await new Promise(() => {})
      }
      return { y: x.data.map((value) => value + 1) }
    },
  })`

let models = 0

async function load(manifest: Parameters<typeof scriptArtifact>[1] = {}) {
  const folder = tempFolder()
  const artifact = scriptArtifact(source(folder), { isolation: 'process', ...manifest })
  const ref = { ...artifact.ref, version: ++models }
  const group = `pool ${models}`
  const states: (string | undefined)[] = []
  pool.watch((status) => {
    if (status.ref.version === ref.version) states.push(status.state)
  })
  const status = await pool.load({ ...artifact, ref, manifest: { ...artifact.manifest, group } })
  expect(status).toMatchObject({ state: 'ready' })
  const call = (x: number, ms = 20_000) => {
    const tensor: Tensor = { name: 'x', datatype: 'FP32', shape: [1], data: Float32Array.of(x) }
    const input: LeafInput = { tensors: new Map([['x', tensor]]), rows: 1, outputs: undefined }
    return pool.get(ref)!.leaf.call(input, Deadline.in(systemClock, ms))
  }
  const hasBegun = () => expect.poll(() => existsSync(begun(folder))).toBe(true)
  return { ref, states, call, group, hasBegun }
}

function stateBecomes(version: number, state: VersionStatus['state']): Promise<void> {
  return new Promise((resolve) => {
    const stop = pool.watch((status) => {
      if (status.ref.version !== version || status.state !== state) return
      stop()
      resolve()
    })
  })
}

const answers = async (calls: Promise<{ outputs: ReadonlyMap<string, Tensor> }>[]) =>
  (await Promise.allSettled(calls)).map((result) =>
    result.status === 'fulfilled' ? result.value.outputs.get('y')!.data[0] : (result.reason as HeadraceError).code,
  )

describe('a pool over processes', () => {
  it('answers the call whose process was killed under it, from the next one', async () => {
    const { ref, states, call, hasBegun } = await load()
    const running = call(7)
    await hasBegun()
    processes.kill(ref.model, ref.version)
    expect((await running).outputs.get('y')!.data).toEqual(Float32Array.of(8))
    expect(states).toEqual(['loading', 'ready', 'unready', 'ready'])
  })

  it('is not ready while the process is down, says why, and refuses calls that come then', async () => {
    const { ref, call } = await load()
    const down = stateBecomes(ref.version, 'unready')
    const back = stateBecomes(ref.version, 'ready')
    processes.kill(ref.model, ref.version)
    await down
    expect(pool.latest(ref.model)?.ref.version).not.toBe(ref.version)
    expect(pool.status(ref)!.reason).toContain('started again')
    await expect(call(1)).rejects.toMatchObject({ code: 'SERVING_MODEL_UNREADY', status: 503, retry: true })
    await back
    expect((await call(1)).outputs.get('y')!.data).toEqual(Float32Array.of(2))
  })

  it('fails the one row that crashes the process, after two crashes, and answers the others of its batch', async () => {
    const { call, group } = await load()
    // The first holds the backend while the others gather into one batch.
    const first = call(0)
    await new Promise((resolve) => setTimeout(resolve, 5))
    const calls = [1, 2, 13, 4, 5].map((x) => call(x))
    expect(await answers([first, ...calls])).toEqual([1, 2, 3, 'MODEL_PROCESS_ENDED_TWICE', 5, 6])
    expect(await platform.metrics.expose()).toContain(`ml_process_restarts_total{group="${group}"} 2`)
  })

  it('fails a call clearly when the next process cannot be there in time', async () => {
    const { ref, call } = await load()
    // On a machine that stands still for a moment the deadline can be over before the process is.
    await expect
      .poll(async () => {
        const back = stateBecomes(ref.version, 'ready')
        const error = await call(13, 60).catch((reason: HeadraceError) => reason)
        await back
        return error
      })
      .toMatchObject({ code: 'MODEL_PROCESS_DOWN', status: 503, retry: true })
    expect((await call(1)).outputs.get('y')!.data).toEqual(Float32Array.of(2))
  })

  it('uses the other instance, and stays ready', async () => {
    const { ref, states, call } = await load({ instances: 2 })
    const running = [call(1), call(2)]
    setTimeout(() => processes.kill(ref.model, ref.version), 5)
    expect(await answers(running)).toEqual([2, 3])
    expect(states).toEqual(['loading', 'ready'])
  })
})
