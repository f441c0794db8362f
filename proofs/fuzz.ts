// Mutated requests at a live server: malformed JSON, tensors, HTTP. Every answer must be a 2xx or 4xx with an error code,
// good requests in between must keep their right answer, and the process must neither end nor grow.
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startHeadrace } from '../bench/support/servers.js'
import { type Random, seededRandom } from '../dist/core/index.js'
import type { Proof } from './proof.js'
import { copyPlainModels } from './support/plain-models.js'

const shop = new URL('../examples/shop/', import.meta.url).pathname
const CONNECTIONS = 8
/** Memory is first read after this share of the requests, when caches and pools have their size. */
const WARM_SHARE = 0.3
const MAX_GROWTH_BYTES = 64 * 1024 * 1024

interface Seed {
  readonly path: string
  readonly body: string
}

async function seeds(): Promise<Seed[]> {
  const rows = async (model: string) =>
    (JSON.parse(await readFile(`${shop}samples/${model}.json`, 'utf8')) as { rows: Record<string, unknown>[] }).rows
  const [fraud, cancer, intent] = await Promise.all([rows('fraud'), rows('breast-cancer'), rows('purchase-intent')])
  const tensor = (row: Record<string, unknown>) => ({
    name: 'features',
    shape: [1, Object.keys(row).length],
    datatype: 'FP32',
    data: Object.values(row),
  })
  const columns = Object.entries(fraud[0]!).map(([name, value]) => ({
    name,
    shape: [1, 1],
    datatype: typeof value === 'string' ? 'BYTES' : 'FP32',
    data: [value],
  }))
  return [
    {
      path: '/v2/models/breast-cancer/infer',
      body: JSON.stringify({ id: 'x', inputs: [tensor(cancer[0]!)], outputs: [{ name: 'probabilities' }] }),
    },
    { path: '/v2/models/fraud/infer', body: JSON.stringify({ inputs: columns, parameters: { unit: 'u' } }) },
    { path: '/v2/models/fraud/versions/1/infer', body: JSON.stringify({ inputs: columns }, null, 1) },
    {
      path: '/v1/models/purchase-intent:predict',
      body: JSON.stringify({ instances: intent.map((row) => Object.values(row)) }),
    },
    { path: '/v1/models/fraud:predict', body: JSON.stringify({ instances: fraud }) },
    { path: '/api/v1/predict/fraud', body: JSON.stringify({ inputs: fraud[0], unit: 'u' }) },
    { path: '/api/v1/predict/breast-cancer', body: JSON.stringify({ inputs: cancer }) },
    { path: '/api/v1/log/query', body: JSON.stringify({ sql: 'SELECT count(*) FROM predictions' }) },
    { path: '/v2/repository/index', body: JSON.stringify({ ready: true }) },
  ]
}

const pick = <T>(random: Random, items: readonly T[]): T => items[random.uint32() % items.length]!

const TOKENS = [
  'null',
  'true',
  '-1',
  '0',
  '1e999',
  '-1e999',
  'NaN',
  'Infinity',
  '18446744073709551616',
  '9007199254740993',
  '0.1',
  '""',
  '"\\ud800"',
  '"\\u0000"',
  '[]',
  '{}',
  '[[[[]]]]',
  '[1,[2]]',
  '{"a":1,"a":2}',
  '"INT64"',
  '"FP16"',
  '"BYTES"',
  '"BOOL"',
  '[4294967296,4294967296]',
  '[-1,3]',
  '[1e9,30]',
  '"__proto__"',
  '"constructor"',
]
const MALFORMED_HTTP = [
  'GET / HTTP/9.9\r\n\r\n',
  'POST /v2/models/fraud/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: nope\r\n\r\n',
  '\u0016\u0003\u0001\u0000',
  'GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'POST /v2/models/fraud/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n',
  `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
  'PATCH /v2/models/fraud/infer HTTP/1.1\r\nHost: localhost\r\n\r\n',
  '\r\n\r\n\r\n',
  'GET  /v2 HTTP/1.1\r\n\r\n',
]

/** One mutated request as bytes. */
function mutate(random: Random, all: readonly Seed[]): Buffer {
  const kind = random.next()
  if (kind < 0.02) return Buffer.from(pick(random, MALFORMED_HTTP), 'latin1')
  const seed = pick(random, all)
  let body: Buffer = Buffer.from(seed.body)
  let { path } = seed
  const headers: Record<string, string> = { Host: 'localhost', 'Content-Type': 'application/json' }
  const times = 1 + (random.uint32() % 3)
  for (let i = 0; i < times; i++) body = mutateBody(random, body)
  if (random.next() < 0.05)
    path = `${path}${pick(random, ['/x', '%00', '?a=b', '/../..', '%ff', '//', ':predict', '/versions/-1/infer'])}`
  if (random.next() < 0.05)
    headers['Content-Type'] = pick(random, [
      'text/plain',
      'application/octet-stream',
      'application/json; charset=utf-16',
      '',
    ])
  if (random.next() < 0.03) headers['Content-Encoding'] = 'gzip'
  if (random.next() < 0.03) headers['headrace-unit'] = 'é'.repeat(random.uint32() % 50)
  if (random.next() < 0.03) headers['traceparent'] = '00-zz'
  const method = random.next() < 0.02 ? pick(random, ['GET', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']) : 'POST'
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${head.join('')}Content-Length: ${body.length}\r\n\r\n`, 'latin1'),
    body,
  ])
}

function mutateBody(random: Random, body: Buffer): Buffer {
  const at = body.length === 0 ? 0 : random.uint32() % body.length
  switch (random.uint32() % 8) {
    case 0:
      return body.subarray(0, at)
    case 1: {
      const copy = Buffer.from(body)
      for (let i = 0; i < 4 && copy.length > 0; i++) copy[random.uint32() % copy.length] = random.uint32() & 0xff
      return copy
    }
    case 2: {
      const end = Math.min(body.length, at + (random.uint32() % 20))
      return Buffer.concat([body.subarray(0, at), body.subarray(end)])
    }
    case 3: {
      const end = Math.min(body.length, at + (random.uint32() % 40))
      return Buffer.concat([body.subarray(0, end), body.subarray(at)])
    }
    case 4:
      return Buffer.concat([body.subarray(0, at), Buffer.from(pick(random, TOKENS)), body.subarray(at)])
    case 5: {
      const depth = random.uint32() % 5000
      return Buffer.concat([body.subarray(0, at), Buffer.from('['.repeat(depth)), body.subarray(at)])
    }
    default: {
      // A value for a value: stays well-formed JSON most of the time.
      const text = body.toString('latin1')
      const values = [...text.matchAll(/(?<=[:,[])\s*(?:"[^"]*"|-?\d[\d.eE+-]*|true|false|null)(?=\s*[,\]}])/g)]
      if (values.length === 0) return body
      const match = pick(random, values)
      return Buffer.from(
        text.slice(0, match.index) + pick(random, TOKENS) + text.slice(match.index + match[0].length),
        'latin1',
      )
    }
  }
}

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
}

/** Sends bytes and reads one answer; undefined when the server closed the connection without one. */
class Connection {
  #socket: Socket | undefined
  constructor(private readonly port: number) {}

  send(bytes: Buffer): Promise<{ status: number; body: string } | undefined> {
    return new Promise((resolve, reject) => {
      this.#socket ??= connect({ host: '127.0.0.1', port: this.port, noDelay: true })
      const socket = this.#socket
      let received = Buffer.alloc(0)
      const finish = (answer: { status: number; body: string } | undefined, keep: boolean) => {
        clearTimeout(timer)
        socket.removeAllListeners()
        socket.on('error', () => {})
        if (!keep) {
          socket.destroy()
          this.#socket = undefined
        }
        resolve(answer)
      }
      // A request cut short leaves the server waiting for the rest: hang up, as a client would.
      const timer = setTimeout(() => finish(undefined, false), 2000)
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk])
        const head = received.indexOf('\r\n\r\n')
        if (head < 0) return
        const text = received.toString('latin1', 0, head)
        const length = /\r\ncontent-length: *(\d+)/i.exec(text)
        const isHead = bytes.subarray(0, 5).toString() === 'HEAD '
        const total = head + 4 + (isHead || !length ? 0 : Number(length[1]))
        if (received.length < total) return
        finish(
          { status: Number(text.slice(9, 12)), body: received.toString('utf8', head + 4, total) },
          !/\r\nconnection: *close/i.test(text) && length !== null,
        )
      })
      socket.once('close', () => finish(undefined, false))
      socket.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') {
          clearTimeout(timer)
          reject(new Error('the server is gone'))
        } else finish(undefined, false)
      })
      socket.write(bytes)
    })
  }
}

export const proof: Proof = {
  claim: 'No malformed request crashes the server, gets a 5xx, disturbs a good one or makes memory grow.',
  fullCount: 100_000,
  async run({ count, seed, progress }) {
    const all = await seeds()
    const models = await mkdtemp(join(tmpdir(), 'headrace-fuzz-'))
    await copyPlainModels(models)
    const server = await startHeadrace(models)
    const port = Number(new URL(server.url).port)
    const failures: string[] = []
    const byStatus: Record<string, number> = {}
    const good = all[0]!
    const ask = async () => {
      const response = await fetch(server.url + good.path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: good.body,
      })
      return `${response.status} ${await response.text()}`
    }
    const expected = await ask()
    let sent = 0
    let warmBytes = 0

    async function worker(index: number): Promise<void> {
      const random = seededRandom(seed * 1000 + index)
      const connection = new Connection(port)
      while (sent < count && failures.length < 20) {
        const number = ++sent
        const bytes = mutate(random, all)
        const answer = await connection.send(bytes)
        const status = answer ? String(answer.status) : 'closed'
        byStatus[status] = (byStatus[status] ?? 0) + 1
        const told = () => `request ${number}: ${JSON.stringify(bytes.toString('latin1').slice(0, 600))}`
        if (answer && answer.status >= 500) failures.push(`${answer.status} ${answer.body.slice(0, 300)} for ${told()}`)
        else if (answer && answer.status >= 400 && answer.body !== '' && !/"code":"[A-Z]+_[A-Z_]+"/.test(answer.body))
          failures.push(`an error without a code: ${answer.body.slice(0, 300)} for ${told()}`)
        if (number % 500 === 0) {
          if ((await ask()) !== expected) failures.push(`a good request got another answer after ${number}`)
          progress(number)
        }
        if (warmBytes === 0 && number >= count * WARM_SHARE) warmBytes = residentBytes(server.pid)
      }
    }

    try {
      await Promise.all(Array.from({ length: CONNECTIONS }, (_, index) => worker(index)))
      if ((await ask()) !== expected) failures.push('a good request got another answer at the end')
      const growth = residentBytes(server.pid) - warmBytes
      if (growth > MAX_GROWTH_BYTES)
        failures.push(`memory grew by ${Math.round(growth / 2 ** 20)} MiB after the warm-up`)
      const figures = Object.fromEntries(Object.entries(byStatus).map(([status, n]) => [`answers ${status}`, n]))
      return { failures, figures: { requests: sent, growthMiB: Math.round(growth / 2 ** 20), ...figures } }
    } catch (error) {
      failures.push(`the server ended: ${error instanceof Error ? error.message : error}`)
      return { failures, figures: { requests: sent } }
    } finally {
      await server.stop()
      await rm(models, { recursive: true, force: true })
    }
  },
}
