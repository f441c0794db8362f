import { describe, expect, it } from 'vitest'
import { lateCall, outcome, payload, prediction } from '../../test/contract/prediction-log.js'
import { FaultyFiles, openTestLog, temporaryFolder } from '../../test/support/log.js'
import { findPrediction } from './find.js'
import { segmentName } from './segment.js'

const HOUR_MS = 60 * 60_000

describe('findPrediction', () => {
  it('gathers a prediction, its late calls and its outcomes from the segments they are in', async () => {
    const { log, clock, platform } = await openTestLog({ segmentHours: 1 })
    const id = platform.ids.next()
    const other = platform.ids.next()
    const now = { timeMs: clock.nowMs() }
    log.append(prediction({ id: other, ...now, payload: payload() }))
    log.append(prediction({ id, ...now, traceId: other, payload: payload() }))
    await log.flush()
    clock.advance(2 * HOUR_MS)
    log.append(lateCall({ prediction: id, timeMs: clock.nowMs() }))
    log.append(outcome({ prediction: other, timeMs: clock.nowMs(), value: id }))
    await log.flush()
    clock.advance(2 * HOUR_MS)
    log.append(outcome({ id: 'o1', prediction: id, timeMs: clock.nowMs() }))
    log.append(outcome({ id: 'o2', prediction: `${id}#3`, timeMs: clock.nowMs() }))
    log.append(outcome({ id: 'o3', prediction: `${id}4`, timeMs: clock.nowMs() }))
    await log.flush()

    expect(await findPrediction(log.folder, id)).toMatchObject({
      prediction: { seq: 2, id, payload: { weight: 1 } },
      calls: [{ seq: 3, prediction: id }],
      outcomes: [{ id: 'o1' }, { id: 'o2' }],
    })
    expect(await findPrediction(log.folder, platform.ids.next())).toBeUndefined()
  })

  it('does not read segments older than the id', async () => {
    const files = new FaultyFiles()
    const { log, clock, platform } = await openTestLog({ segmentHours: 1, files })
    let id = ''
    for (let i = 0; i < 5; i++) {
      id = platform.ids.next()
      await log.whenDurable(log.append(prediction({ id, timeMs: clock.nowMs() })))
      clock.advance(2 * HOUR_MS)
    }
    files.done.length = 0
    expect(await findPrediction(log.folder, id, files)).toMatchObject({ prediction: { seq: 5 } })
    const read = new Set(files.done.filter((line) => line.startsWith('read')))
    expect(read).toEqual(new Set([`read ${segmentName(5)}`, `read ${segmentName(4)}`]))
  })

  it('finds an id that is no time-ordered one, whatever is in it', async () => {
    const { log } = await openTestLog()
    const id = 'my "id" \\ ünï'
    await log.whenDurable(log.append(prediction({ id })))
    expect(await findPrediction(log.folder, id)).toMatchObject({ prediction: { id } })
    expect(await findPrediction(log.folder, 'my ')).toBeUndefined()
  })

  it('knows nothing in a folder that is not there', async () => {
    expect(await findPrediction(`${await temporaryFolder()}/nowhere`, 'p1')).toBeUndefined()
  })
})
