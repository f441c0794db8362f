// A process that writes features is killed with SIGKILL, again and again: what `flush` acknowledged is there, and states and the position of
// their stream never part.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { rowTable, windowTable } from '../../../test/support/online.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { testPlatform, workerFile } from '../../core/index.js'
import type { KeyState, WindowEngine } from '../aggregate/types.js'
import { createMemoryOnlineStore } from './memory-online-store.js'

const ROUNDS = 6
const KEYS = ['a', 'b', 'c']

// Each commit counts every key's state and the position up by one. Large states, so that journals become snapshots on the way.
const writer = `
const [, online, core, folder, tables] = process.argv
const { createMemoryOnlineStore } = await import(online)
const { createPlatform } = await import(core)
const [windows, numbers] = JSON.parse(tables)
const stateOf = (count) => ({ count, newestEventMs: Date.now(), sizeBytes: 20_000, serialize: () => Buffer.alloc(20_000 + count % 7, String(count) + ' ') })
const engineOf = () => ({ parse: (bytes) => stateOf(parseInt(Buffer.from(bytes).toString('latin1', 0, 20))) })
const store = await createMemoryOnlineStore({ platform: createPlatform(), folder, engineOf, checkpointMs: 3 })
for (let n = Number((await store.position(windows, 's'))?.at ?? 0) + 1; ; n++) {
  const states = await store.readStates(windows, ['a', 'b', 'c'])
  const next = states.map((state, i) => ({ key: 'abc'[i], state: stateOf((state?.count ?? 0) + 1) }))
  await store.writeStates(windows, next, { stream: 's', at: { at: String(n) } })
  await store.writeRows(numbers, [{ key: 'n', eventMs: n, knownMs: n, values: [n] }])
  if (n % 5 !== 0) continue
  await store.flush()
  process.stdout.write(n + '\\n')
}
`

const countingEngine: WindowEngine = {
  create: () => {
    throw new Error('only read')
  },
  parse: (bytes) =>
    ({ count: Number.parseInt(Buffer.from(bytes).toString('latin1', 0, 20), 10) }) as unknown as KeyState,
  merge: () => {
    throw new Error('only read')
  },
}

describe('a killed process', () => {
  it('has after it starts again what was flushed, and states that are of the position beside them', async () => {
    const folder = tempFolder()
    const windows = windowTable('windows')
    const numbers = rowTable('numbers', ['int64'])
    const files = [
      workerFile(import.meta.url, './memory-online-store.js'),
      workerFile(import.meta.url, '../../core/index.js'),
    ]
    let acknowledged = 0
    for (let round = 0; round < ROUNDS; round++) {
      const parameters = [...files.map(String), folder, JSON.stringify([windows, numbers])]
      const child = spawn(process.execPath, ['--input-type=module', '--eval', writer, ...parameters])
      let errors = ''
      child.stderr.on('data', (text) => {
        errors += text
      })
      const lines = createInterface(child.stdout)
      let count = 0
      lines.on('line', (line) => {
        acknowledged = Number(line)
        if (++count === 4 + round * 9) child.kill('SIGKILL')
      })
      const [, signal] = await once(child, 'close')
      expect({ signal, errors }).toEqual({ signal: 'SIGKILL', errors: '' })

      const store = await createMemoryOnlineStore({ platform: testPlatform(), folder, engineOf: () => countingEngine })
      const at = Number((await store.position(windows, 's'))!['at'])
      expect(at).toBeGreaterThanOrEqual(acknowledged)
      const states = (await store.readStates(windows, KEYS)) as unknown as { count: number }[]
      expect(states.map((state) => state.count)).toEqual(KEYS.map(() => at))
      const [entries] = await store.read([{ table: numbers, keys: ['n'] }], 0)
      expect(entries![0]!.values[0]).toBeGreaterThanOrEqual(acknowledged)
      await store.close()
    }
  }, 60_000)
})
