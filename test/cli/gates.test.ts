// From a file to all traffic and what CI sees on the way, as a user runs it.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { worldFiles } from '../../examples/shop/world/csv.js'
import { createWorld } from '../../examples/shop/world/world.js'
import { tempFolder } from '../support/temp-folder.js'
import { headrace, headraceJson, LONG, SHOP, startServe } from './support.js'

/** Of the shop's world, which is not in the repository. */
function payments(): string {
  const world = createWorld({ seed: 1, shoppers: 500, sessions: 10, payments: 4000, pages: 1, weeks: 1 })
  return worldFiles(world)['payments.csv']!
}

/** A project with version 1 of fraud, and what its gates ask. */
function project(gates: object): string {
  const folder = tempFolder()
  cpSync(join(SHOP, 'models/fraud/1'), join(folder, 'models/fraud/1'), { recursive: true })
  writeFileSync(join(folder, 'payments.csv'), payments())
  const config = {
    datasets: { payments: { file: 'payments.csv', kind: 'classification', label: 'is_fraud', limit: 1000 } },
    endpoints: { fraud: { route: { kind: 'version', model: 'fraud', version: 1 }, gates } },
    // Test runs share the machine.
    models: { settleMs: 0 },
  }
  writeFileSync(join(folder, 'headrace.config.mjs'), `export default ${JSON.stringify(config)}\n`)
  return folder
}

const evaluation = { dataset: 'payments', metric: 'auc', atLeast: 0.6 }

describe('headrace models check', LONG, () => {
  it('without a server ends with 0 or 1, says why as JSON, and writes JUnit XML', async () => {
    const folder = project({
      evaluations: [evaluation, { ...evaluation, metric: 'logLoss', atLeast: undefined, atMost: 1e-3 }],
    })
    const { status, stdout } = await headrace(folder, 'models', 'check', 'fraud@1', '--json', '--junit', 'gates.xml')
    expect(status).toBe(1)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ passed: false, awaitsApproval: false })
    const failed = report.results.filter(({ verdict }: { verdict: string }) => verdict === 'failed')
    expect(failed).toEqual([
      expect.objectContaining({
        gate: 'evaluation:payments/logLoss',
        summary: expect.stringContaining('must be at most 0.001'),
      }),
    ])
    const xml = readFileSync(join(folder, 'gates.xml'), 'utf8')
    expect(xml).toMatch(/<testsuite name="gates of fraud" tests="\d+" failures="1" skipped="4"/)
    const some = await headrace(folder, 'models', 'check', 'fraud@1', '--only', 'signature')
    expect([some.status, some.stdout]).toEqual([0, expect.stringContaining('Passed. ')])
  })
})

describe('headrace deploy', LONG, () => {
  it('takes a file to all traffic, within seconds, once it is approved', async () => {
    const folder = project({ evaluations: [evaluation], approvals: { count: 1 } })
    const server = await startServe(folder, folder, '--log-level', 'error')
    try {
      const file = join(SHOP, 'models/fraud/2/model.onnx')
      const manifest = join(SHOP, 'models/fraud/2/model.json')
      const pushed = await headrace(folder, 'deploy', file, '--model', 'fraud', '--manifest', manifest)
      expect([pushed.status, pushed.stdout]).toEqual([1, expect.stringContaining('Waits for approval.')])
      const served = async () =>
        (
          await headraceJson<{ endpoints: { name: string; version: number }[] }>(folder, 'endpoints', 'list')
        ).endpoints.find(({ name }) => name === 'fraud')?.version
      expect(await served()).toBe(1)
      await headraceJson(folder, 'models', 'approve', 'fraud@2', '--comment', 'looked at it')
      const deployed = await headraceJson<{ outcome: string; tookMs: number }>(folder, 'deploy', 'fraud@2')
      expect(deployed).toMatchObject({ outcome: 'done', release: { from: 1, to: 2, state: 'completed' } })
      // The goal is ten seconds on a machine that does nothing else.
      expect(deployed.tookMs).toBeLessThan(60_000)
      expect(await served()).toBe(2)
      const again = await headraceJson<{ outcome: string }>(folder, 'deploy', 'fraud@2')
      expect(again.outcome).toBe('done')
    } finally {
      await server.stop()
    }
  })
})
