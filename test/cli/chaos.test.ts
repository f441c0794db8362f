import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, headrace, headraceJson, LONG, makeFolder, startServe } from './support.js'

const { folder, remove } = makeFolder(['breast-cancer'])
let server: CliServer

beforeAll(async () => {
  server = await startServe(folder, '--chaos')
}, LONG.timeout)
afterAll(async () => {
  await server.stop()
  remove()
})

interface FaultView {
  readonly id: string
  readonly kind: string
  readonly startedAt: string
  readonly endsAt: string
}

describe('headrace chaos', () => {
  it('breaks a model for as long as it is told, says so, and heals it', LONG, async () => {
    const fault = await headraceJson<FaultView>(
      folder,
      'chaos',
      'delay',
      'breast-cancer/1',
      '--ms',
      '20',
      '--for',
      '60',
    )
    expect(fault.kind).toBe('delay')
    expect(Date.parse(fault.endsAt) - Date.parse(fault.startedAt)).toBe(60_000)
    const status = await headrace(folder, 'chaos', 'status')
    expect(status.stdout).toContain('delay breast-cancer/1 by 20 ms')
    expect((await headrace(folder, 'decisions', 'list', '--kind', 'chaos.inject')).stdout).toContain(fault.id)
    expect((await headrace(folder, 'chaos', 'heal', fault.id)).stdout).toBe('1 fault healed\n')
    expect((await headrace(folder, 'chaos', 'status')).stdout).toBe('Nothing is broken.\n')
  })

  it('takes a time into the past', LONG, async () => {
    const printed = (await headrace(folder, 'chaos', 'clock-skew', '--ms', '-5000', '--for', '0.5')).stdout
    expect(printed).toContain('clock-skew of the wall clock by -5000 ms')
  })

  it('says what it needs', LONG, async () => {
    const missing = await headrace(folder, 'chaos', 'delay', 'breast-cancer')
    expect(missing.status).toBe(2)
    expect(missing.stderr).toContain('--ms')
    const odd = await headrace(folder, 'chaos', 'redis', 'break')
    expect(odd).toMatchObject({ status: 2, stderr: expect.stringContaining('drop, slow') })
    const share = await headrace(folder, 'chaos', 'error', 'breast-cancer', '--rate', '2')
    expect(share).toMatchObject({ status: 2, stderr: expect.stringContaining('at most 1') })
    const alone = await headrace(folder, 'chaos', 'kill')
    expect(alone.status).toBe(1)
    expect(alone.stderr).toContain('CHAOS_NOT_POSSIBLE')
  })

  it('needs a server that runs, and one that takes faults', LONG, async () => {
    const other = makeFolder(['breast-cancer'])
    try {
      const none = await headrace(other.folder, 'chaos', 'disk-full')
      expect(none.status).toBe(2)
      expect(none.stderr).toContain('headrace serve --chaos')
      const plain = await startServe(other.folder)
      const refused = await headrace(other.folder, 'chaos', 'disk-full')
      expect(refused.stderr).toContain('CHAOS_DISABLED')
      expect((await headrace(other.folder, 'chaos', 'status')).stdout).toContain('takes no faults')
      await plain.stop()
    } finally {
      other.remove()
    }
  })
})
