// Features with `--processes`: the workers read the memory store of the primary, and get by without it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { LONG, makeFolder, startServe } from '../cli/support.js'
import { ask, until } from './support.js'

const needsProc = !existsSync('/proc/self/stat')

const CONFIG = `
const item = { kind: 'entity', name: 'item', keys: { item_id: 'int64' } }
const prices = {
  kind: 'view', name: 'prices', entities: [item],
  source: { kind: 'file', name: 'rows', path: 'rows.csv', eventTime: 'at' },
  features: { price: { kind: 'column', type: 'float64', default: -1 }, label: { kind: 'column', type: 'string' } },
}
export default { features: { definitions: [item, prices, { kind: 'service', name: 'items', items: [prices] }] } }
`

interface Online {
  readonly isDegraded: boolean
  readonly features: readonly { readonly name: string; readonly values: unknown[]; readonly statuses: string[] }[]
}

describe.skipIf(needsProc)('features with --processes', LONG, () => {
  it('every worker reads what the primary keeps, and answers with defaults while the primary does not', async () => {
    const { folder, remove } = makeFolder(['fraud'])
    onTestFinished(remove)
    writeFileSync(join(folder, 'headrace.config.mjs'), CONFIG)
    writeFileSync(
      join(folder, 'rows.csv'),
      'item_id,at,price,label\n1,2026-01-01T00:00:00Z,2.5,one\n2,2026-01-01T00:00:00Z,7,two\n',
    )
    const { url, child } = await startServe(folder, '--processes', '2', '--log-level', 'error')
    onTestFinished(() => {
      child.kill('SIGCONT')
      child.kill('SIGKILL')
    })
    const read = async (agent?: Agent, budgetMs = 10_000): Promise<Online> => {
      const json = { service: 'items', entities: { item_id: [2, 1, 3] }, budgetMs }
      const { status, body } = await ask(`${url}/api/v1/features/online`, {
        method: 'POST',
        json,
        ...(agent ? { agent } : {}),
      })
      expect({ status, body }).toMatchObject({ status: 200 })
      return JSON.parse(body) as Online
    }
    // Connections are handed to the workers in turn.
    const readAll = () => Promise.all([read(), read(), read(), read()])
    await until(async () => (await read()).features[0]!.values[0] === 7)
    for (const { features } of await readAll()) {
      expect(features.map(({ values }) => values)).toEqual([
        [7, 2.5, -1],
        ['two', 'one', null],
      ])
      expect(features[0]!.statuses).toEqual(['present', 'present', 'missing'])
    }

    // A connection that is there already: new ones are handed out by the primary.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    await read(agent)
    child.kill('SIGSTOP')
    const { isDegraded, features } = await read(agent, 500)
    expect(isDegraded).toBe(true)
    expect(features[0]!.statuses).toEqual(['timeout', 'timeout', 'timeout'])
    expect(features[0]!.values.every((value) => [-1, 7, 2.5].includes(value as number))).toBe(true)
    child.kill('SIGCONT')
    await until(async () => (await read(agent)).features[0]!.statuses[0] === 'present')
  })
  it('a worker that is started again after an edit of the definitions says so', async () => {
    const { folder, remove } = makeFolder(['fraud'])
    onTestFinished(remove)
    writeFileSync(join(folder, 'headrace.config.mjs'), CONFIG)
    writeFileSync(join(folder, 'rows.csv'), 'item_id,at,price,label\n1,2026-01-01T00:00:00Z,2.5,one\n')
    const { child, printed } = await startServe(folder, '--processes', '2', '--log-level', 'error')
    onTestFinished(() => void child.kill('SIGKILL'))
    writeFileSync(join(folder, 'headrace.config.mjs'), CONFIG.replace('default: -1', 'default: -2'))
    const [worker] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')
    process.kill(Number(worker), 'SIGKILL')
    await until(async () => printed.stderr.includes('definitions of features were edited'))
    expect(printed.stderr.match(/definitions of features were edited/g)).toHaveLength(1)
  })
})
