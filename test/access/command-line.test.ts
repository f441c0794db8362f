// Keys from the command line over a real data folder, several processes behind them, and the audit of what was done. It needs a
// finished build.
import { existsSync, statSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import Database from 'libsql'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { MadeKey } from '../../src/app/index.js'
import type { Verification } from '../../src/decisions/index.js'
import { headrace, headraceJson, LONG, makeFolder, startServe } from '../cli/support.js'
import { PAYMENT } from '../support/shop.js'

const needsProc = !existsSync('/proc/self/stat')

function post(url: string, key: string, agent: Agent): Promise<number> {
  const body = JSON.stringify({ inputs: PAYMENT })
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': body.length }
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', headers, agent }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode!))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

describe.skipIf(needsProc)('headrace keys and audit', LONG, () => {
  it('make keys before there is a server, which then listens anywhere, meters all its processes as one, and forgets nothing', async () => {
    const { folder, remove } = makeFolder(['fraud'])
    onTestFinished(remove)
    const refused = await headrace(folder, 'keys', 'create', '--name', 'ci', '--role', 'developer')
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('ACCESS_FIRST_KEY')])
    const admin = await headraceJson<MadeKey>(folder, 'keys', 'create', '--name', 'admin', '--role', 'admin')
    expect(statSync(join(folder, '.headrace/key-secret')).mode & 0o777).toBe(0o600)
    // Who has the data folder needs no key.
    const quota = ['--predict', 'fraud', '--quota', '300/day', '--expires', '90d']
    const metered = await headraceJson<MadeKey>(folder, 'keys', 'create', '--name', 'shop', ...quota)

    const server = await startServe(
      folder,
      '--processes',
      '2',
      '--host',
      '0.0.0.0',
      '--no-grpc',
      '--log-level',
      'error',
    )
    onTestFinished(() => void server.child.kill('SIGKILL'))
    const url = `${server.url}/api/v1/predict/fraud`
    const withKey = (...args: string[]) => headrace(folder, ...args, '--key', admin.secret)

    // Connections are handed to the workers in turn.
    const agents = Array.from({ length: 6 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
    onTestFinished(() => agents.forEach((agent) => void agent.destroy()))
    let admitted = 0
    const counted = await Promise.all(
      agents.map(async (agent) => {
        for (let i = 0; i < 70; i++) if ((await post(url, metered.secret, agent)) === 200) admitted++
      }),
    )
    expect(counted).toHaveLength(6)
    expect(admitted).toBeLessThanOrEqual(300)
    // What one of them still held has gone back.
    await expect
      .poll(
        async () => {
          while ((await post(url, metered.secret, agents[0]!)) === 200) admitted++
          return admitted
        },
        { timeout: 30_000, interval: 300 },
      )
      .toBe(300)
    for (const agent of agents) expect(await post(url, metered.secret, agent)).toBe(429)

    expect((await withKey('keys', 'revoke', 'shop')).status).toBe(0)
    for (const agent of agents) expect(await post(url, metered.secret, agent)).toBe(401)
    const keyless = await headrace(folder, 'keys', 'list')
    expect(keyless.stderr).toContain('ACCESS_CREDENTIALS_MISSING')
    for (const agent of agents) agent.destroy()
    await server.stop()

    // Undone, the key works again, and its day is as full as it was.
    const { decisions } = await headraceJson<{ decisions: { id: string }[] }>(
      folder,
      'audit',
      'list',
      '--kind',
      'key.revoke',
    )
    await headraceJson(folder, 'decisions', 'undo', decisions[0]!.id)
    const usage = await headraceJson<{ usage: object[] }>(folder, 'keys', 'usage', 'shop')
    expect(usage.usage).toEqual([expect.objectContaining({ endpoint: 'fraud', predictions: 300, rows: 300 })])
    const whole = await headraceJson<Verification>(folder, 'audit', 'verify')
    expect(whole).toMatchObject({ ok: true })
    const exported = (await headrace(folder, 'audit', 'export')).stdout.trim().split('\n')
    expect(exported).toHaveLength((whole as { count: number }).count)
    expect(exported.join()).not.toContain(metered.secret.slice(16))

    // Somebody edits the file by hand.
    const database = new Database(join(folder, '.headrace/metadata.db'))
    const { number } = database.prepare("SELECT number FROM decisions WHERE kind = 'key.revoke' LIMIT 1").get() as {
      number: number
    }
    database.prepare('UPDATE decisions SET by_name = ? WHERE number = ?').run('somebody else', number)
    database.close()
    const broken = await headrace(folder, 'audit', 'verify')
    expect(broken.status).toBe(1)
    expect(broken.stdout).toContain(`Decision ${number} is not as it was written`)
    expect(broken.stdout).toContain('somebody else')
  })
})
