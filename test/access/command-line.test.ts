// Keys from the command line over a real data folder, several processes behind them, and the audit of what was done. It needs a
// finished build.
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import Database from 'libsql'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { MadeKey } from '../../src/app/index.js'
import type { Verification } from '../../src/decisions/index.js'
import { headrace, headraceJson, makeFolder, startServe } from '../cli/support.js'
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

describe.skipIf(needsProc)('headrace keys and audit', { timeout: 300_000 }, () => {
  it('make keys before there is a server, which then listens anywhere, meters all its processes as one, and forgets nothing, killed or not', async () => {
    const { folder, remove } = makeFolder(['fraud'])
    onTestFinished(remove)
    const admin = await headraceJson<MadeKey>(folder, 'keys', 'create', '--name', 'admin', '--role', 'admin')
    expect(statSync(join(folder, '.headrace/key-secret')).mode & 0o777).toBe(0o600)
    // Who has the data folder needs no key.
    const quota = ['--predict', 'fraud', '--quota', '300/day', '--expires', '90d']
    const metered = await headraceJson<MadeKey>(folder, 'keys', 'create', '--name', 'shop', ...quota)

    const serve = async (processes: number) => {
      const started = await startServe(
        folder,
        '--processes',
        String(processes),
        '--host',
        '0.0.0.0',
        '--no-grpc',
        '--log-level',
        'error',
      )
      onTestFinished(() => void started.child.kill('SIGKILL'))
      // Connections are handed to the workers in turn.
      const agents = Array.from({ length: 6 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
      onTestFinished(() => agents.forEach((agent) => void agent.destroy()))
      return { ...started, agents, predictions: `${started.url}/api/v1/predict/fraud` }
    }
    let server = await serve(2)
    const api = async (method: string, path: string, body?: object) => {
      const response = await fetch(`${server.url}/api/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${admin.secret}`, 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      return response.json()
    }
    /** One more of the quota, over each connection in turn. */
    const take = (turn: number) => post(server.predictions, metered.secret, server.agents[turn % 6]!)
    let admitted = 0
    for (let i = 0; i < 60; i++) if ((await take(i)) === 200) admitted++
    expect(admitted).toBe(60)
    // The whole group at once, as a machine without power does.
    server.child.kill('SIGKILL')
    await once(server.child, 'exit')
    server = await serve(1)
    await Promise.all(
      server.agents.map(async (_, turn) => {
        for (let i = 0; i < 55; i++) if ((await take(turn)) === 200) admitted++
      }),
    )
    // What one of them still holds goes back; what the killed ones held is lost: a sixteenth of what was left, each.
    await expect
      .poll(
        async () => {
          while ((await take(0)) === 200) admitted++
          return admitted
        },
        { timeout: 30_000, interval: 300 },
      )
      .toBeGreaterThanOrEqual(300 - 2 * (300 / 16))
    expect(admitted).toBeLessThanOrEqual(300)

    const revoked = await headrace(folder, 'keys', 'revoke', 'shop', '--key', admin.secret)
    expect(revoked.status).toBe(0)
    for (let turn = 0; turn < 6; turn++) expect(await take(turn)).toBe(401)
    const tail = await headrace(folder, 'log', 'tail', '--from', '1', '--limit', '1', '--key', admin.secret)
    expect(JSON.parse(tail.stdout)).toMatchObject({ seq: 1 })

    // Undone, the key works again, and its day is as full as it was.
    const { decisions } = (await api('GET', '/decisions?kind=key.revoke')) as { decisions: { id: string }[] }
    await api('POST', `/decisions/${decisions[0]!.id}/undo`, {})
    const left = 300 - admitted
    for (let i = 0; i < left; i++) await take(i)
    expect(await take(0)).toBe(429)
    for (const agent of server.agents) agent.destroy()
    const whole = (await api('GET', '/decisions/verify')) as Verification
    await server.stop()

    const exported = (await headrace(folder, 'audit', 'export')).stdout.trim().split('\n')
    expect(whole).toMatchObject({ ok: true, count: exported.length })
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
