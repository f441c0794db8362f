import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { systemClock, testPlatform } from '../../core/index.js'
import { type ChangeKind, createDecisions, type Decision, readPosition } from '../../decisions/index.js'
import { openSql } from '../../store/index.js'
import { DecisionFlow } from './decision-flow.js'

const kind: ChangeKind = {
  kind: 'test.change',
  undoable: false,
  parse: () => undefined,
  apply: async () => null,
  undo: async () => null,
  summary: () => 'A change.',
}

describe('decisions of a server with a database of its own', () => {
  it('take effect, once, when the state could not be read right after one was made', async () => {
    const platform = testPlatform({ clock: systemClock })
    const sql = await openSql({ file: join(tempFolder(), 'metadata.db'), platform })
    onTestFinished(() => sql.close())
    const decisions = await createDecisions({ sql, platform, kinds: [kind] })
    const begun: number[] = []
    let failures = 2
    const flow = new DecisionFlow({
      sql,
      platform,
      position: await readPosition(sql),
      isFromCopy: false,
      async begin(made: readonly Decision[]) {
        if (failures-- > 0) throw new Error('the disk is busy')
        begun.push(...made.map(({ number }) => number))
        return made.map(async () => undefined)
      },
      reread: async () => undefined,
      onAdvance: () => undefined,
    })
    onTestFinished(() => flow.stop())
    flow.start()
    const change = { kind: 'test.change', subject: 'a', detail: {} }
    await flow.own([await decisions.apply(change, {}, { kind: 'person', name: 'test' })])
    expect(begun).toEqual([])
    await expect.poll(() => begun, { timeout: 30_000 }).toEqual([1])
    await flow.own([await decisions.apply(change, {}, { kind: 'person', name: 'test' })])
    expect(begun).toEqual([1, 2])
  })
})
