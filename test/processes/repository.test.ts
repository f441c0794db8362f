// Loading and unloading by hand over several processes: every worker follows, and their counts are one server's.
import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { LONG } from '../cli/support.js'
import { PAYMENT } from '../support/shop.js'
import { ask, metric, startGroup } from './support.js'

const needsProc = !existsSync('/proc/self/stat')
const CONFIG = 'export default { server: { tritonMetrics: true } }\n'

/** Every one on a connection of its own, so that each worker gets some. */
function times<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => work(i)))
}

describe.skipIf(needsProc)('a repository over several processes', LONG, () => {
  it('is followed by every worker before a load or unload is answered, and no request fails meanwhile', async () => {
    const { url } = await startGroup(['fraud'], CONFIG)
    const predict = () => ask(`${url}/api/v1/predict/fraud`, { method: 'POST', json: { inputs: PAYMENT } })
    const act = (what: 'load' | 'unload', json: object = {}) =>
      ask(`${url}/v2/repository/models/fraud/${what}`, { method: 'POST', json })
    const sizes = async () =>
      new Set(
        await times(8, async () => {
          const { body } = await ask(`${url}/v2/models/fraud/config`)
          return (JSON.parse(body) as { max_batch_size: number }).max_batch_size
        }),
      )

    let isDone = false
    const seen: number[] = []
    const callers = times(3, async () => {
      while (!isDone) seen.push((await predict()).status)
    })
    for (const max_batch_size of [4, 6, 8]) {
      const reply = await act('load', { parameters: { config: JSON.stringify({ max_batch_size }) } })
      expect(reply).toMatchObject({ status: 200 })
      expect(await sizes()).toEqual(new Set([max_batch_size]))
    }
    isDone = true
    await callers
    expect(new Set(seen)).toEqual(new Set([200]))

    const { body } = await ask(`${url}/v2/models/fraud/versions/2/stats`)
    const [counted] = (JSON.parse(body) as { model_stats: { inference_stats: { success: { count: number } } }[] })
      .model_stats
    expect(counted!.inference_stats.success.count).toBe(seen.length)
    expect(await metric(url, 'nv_inference_request_success{model="fraud",version="2"}')).toBe(seen.length)

    expect(await act('unload')).toMatchObject({ status: 200 })
    expect(new Set((await times(8, predict)).map(({ status }) => status))).toEqual(new Set([404]))
    expect(await act('load')).toMatchObject({ status: 200 })
    expect(new Set((await times(8, predict)).map(({ status }) => status))).toEqual(new Set([200]))
    expect(await sizes()).toEqual(new Set([32]))
    const refused = await act('load', { parameters: { config: '{"backend": "python"}' } })
    expect(refused.status).toBe(400)
    expect(new Set((await times(8, predict)).map(({ status }) => status))).toEqual(new Set([200]))
  })
})
