// The tools that measure: a wrong figure from one of these would be believed.
import { spawn } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { cpuMs } from '../../bench/support/cpu.js'
import { AnswerReader, runClient } from '../../bench/support/load-client.js'
import { formatReport, type Machine, makeReport, median } from '../../bench/support/report.js'

let server: Server | undefined
afterEach(() => server?.close())

async function serve(status: (request: number) => number): Promise<{ url: string; bodies: string[] }> {
  const bodies: string[] = []
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      bodies.push(body)
      response.writeHead(status(bodies.length))
      response.end(body)
    })
  })
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/echo`, bodies }
}

describe('the load client', () => {
  it('sends exactly the count asked for, with the body given', async () => {
    const { url, bodies } = await serve(() => 200)
    const result = await runClient({ url, connections: 3, count: 10, body: '{"é":1}' })
    expect(result).toMatchObject({ requests: 10, errors: 0 })
    expect(bodies).toEqual(Array(10).fill('{"é":1}'))
    expect(result.p50Ms).toBeGreaterThan(0)
    expect(result.p99Ms).toBeGreaterThanOrEqual(result.p50Ms)
  })

  it('counts answers that are not 2xx as errors', async () => {
    const { url } = await serve((request) => (request % 2 === 0 ? 503 : 200))
    expect(await runClient({ url, connections: 1, count: 10, body: '' })).toMatchObject({ requests: 10, errors: 5 })
  })

  it('counts connections that cannot be made as errors and comes to an end', async () => {
    const { url } = await serve(() => 200)
    await new Promise((resolve) => server?.close(resolve))
    expect(await runClient({ url, connections: 2, durationMs: 50 })).toMatchObject({ requests: 0, errors: 2 })
  })
})

describe('AnswerReader', () => {
  const answers = {
    'with a length': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab\r\nc',
    'without a body': 'HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n',
    'in chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
  }
  it.each(Object.entries(answers))('sees the end of an answer %s exactly, however it is cut', (_, text) => {
    const bytes = Buffer.from(text)
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const reader = new AnswerReader()
      expect(reader.add(bytes.subarray(0, cut))).toBe(false)
      expect(reader.add(bytes.subarray(cut))).toBe(true)
      expect(reader.isSuccess).toBe(true)
    }
  })
})

describe.skipIf(process.platform !== 'linux')('cpuMs', () => {
  it('counts a child process, its threads and the children of children', async () => {
    const burn = (ms: number): string => `while (process.cpuUsage().user < ${ms * 1000});`
    const program = `
      const { spawn } = require('node:child_process')
      const { Worker } = require('node:worker_threads')
      const child = spawn(process.execPath, ['-e', ${JSON.stringify(`${burn(300)} setInterval(() => {}, 1000)`)}])
      new Worker(${JSON.stringify(burn(400))}, { eval: true }).once('exit', () => console.log('done'))
      process.stdin.resume().once('end', () => { child.kill(); process.exit() })`
    const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] })
    const pid = child.pid!
    const before = cpuMs(pid)
    await new Promise((resolve) => child.stdout.once('data', resolve))
    // 400 ms in the process and its thread and 300 ms in the grandchild, less what was used before the first reading.
    await expect.poll(() => cpuMs(pid) - before, { timeout: 20_000 }).toBeGreaterThan(550)
    child.stdin.end()
    await new Promise((resolve) => child.once('exit', resolve))
    expect(() => cpuMs(pid)).toThrow(`There is no process ${pid}`)
  })
})

describe('reports', () => {
  const machine: Machine = {
    cpu: 'a CPU',
    cores: 2,
    memoryGiB: 4,
    platform: 'linux x64',
    node: 'v20.19.0',
    loadAverage: [0.1, 0.2, 0.3],
    commit: 'abc1234',
    startedAt: '2026-01-01T00:00:00.000Z',
  }

  it('takes the middle of the rounds, or the mean of the two in the middle', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([])).toBeNaN()
  })

  it('compares the medians with those of the first subject and shows every round', () => {
    const report = makeReport('overhead', 'What does it cost?', machine, {
      bare: [{ cpuUs: 100 }, { cpuUs: 110 }, { cpuUs: 90 }],
      headrace: [{ cpuUs: 150 }, { cpuUs: 120 }, { cpuUs: 130 }],
    })
    expect(report.subjects[1]).toMatchObject({ medians: { cpuUs: 130 }, ratios: { cpuUs: 1.3 } })
    expect(formatReport(report)).toContain('| cpuUs, median | **100** | **130** (1.30×) |')
    expect(formatReport(report)).toContain('| cpuUs, rounds | 100 110 90 | 150 120 130 |')
  })
})
