// A process that appends is killed with SIGKILL, again and again: what it was told is durable is there.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { prediction } from '../../test/contract/prediction-log.js'
import { openTestLog, temporaryFolder } from '../../test/support/log.js'
import { workerFile } from '../core/index.js'
import { readRecords } from './read.js'

const ROUNDS = 4

// Prints the last position it knows to be durable, for ever. The record's id says its position.
const writer = `
const [, log, core, folder, record] = process.argv
const { openLog } = await import(log)
const { createPlatform } = await import(core)
const opened = await openLog({ folder, platform: createPlatform(), segmentBytes: 1 << 18 })
const base = JSON.parse(record)
for (;;) {
  let last = opened.durableThrough()
  for (let i = 0; i < 50; i++) last = opened.append({ ...base, id: 'p' + (last + 1) })
  await opened.whenDurable(last)
  process.stdout.write(last + '\\n')
}
`

describe('a killed process', () => {
  it('loses nothing that was acknowledged, repeats nothing and leaves no gap', async () => {
    const folder = await temporaryFolder()
    const files = [workerFile(import.meta.url, './index.js'), workerFile(import.meta.url, '../core/index.js')]
    let acknowledged = 0
    for (let round = 0; round < ROUNDS; round++) {
      const parameters = [...files.map(String), folder, JSON.stringify(prediction())]
      const child = spawn(process.execPath, ['--input-type=module', '--eval', writer, ...parameters])
      let errors = ''
      child.stderr.on('data', (text) => {
        errors += text
      })
      const lines = createInterface(child.stdout)
      let count = 0
      lines.on('line', (line) => {
        acknowledged = Number(line)
        if (++count === 5 + round * 7) child.kill('SIGKILL')
      })
      const [, signal] = await once(child, 'close')
      expect({ signal, errors }).toEqual({ signal: 'SIGKILL', errors: '' })

      const ids: string[] = []
      for await (const record of readRecords(folder)) ids.push(record.id)
      expect(ids.length).toBeGreaterThanOrEqual(acknowledged)
      expect(ids).toEqual(ids.map((_, i) => `p${i + 1}`))
    }
    const { log } = await openTestLog({ folder })
    expect(log.durableThrough()).toBeGreaterThanOrEqual(acknowledged)
  })
})
