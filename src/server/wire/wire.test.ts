// The wire against node:http as the oracle: the same bytes, in whatever pieces, must get the same answers through both.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLoopbackGuard } from '../../access/index.js'
import { HeadraceError, ManualClock, systemClock, testPlatform, toHeadraceError } from '../../core/index.js'
import { Intake } from '../intake.js'
import { Clients } from '../predict/client.js'
import type { Exchange } from '../predict/exchange.js'
import type { PredictHandler } from '../predict/handler.js'
import { NodeExchange } from '../predict/node-exchange.js'
import { errorBody, sendError } from '../reply.js'
import { predictTarget } from '../target.js'
import { attachWire, type Wire } from './wire.js'

const BODY_LIMIT = 4096

/** What a handler saw of one request; the body, or why there is none, once it is known. */
interface Seen {
  readonly request: unknown
  body?: string
}

/** Answers with everything a prediction can see of its request, and notes it down. */
const echoTo =
  (seen: Seen[]): PredictHandler =>
  async (exchange, target) => {
    const headers = PREDICT_HEADERS.map((name) => exchange.header(name) ?? null)
    const one: Seen = { request: { target, url: exchange.url, headers } }
    seen.push(one)
    try {
      if (target.name === 'nobody') throw new HeadraceError('TEST_NOBODY', 'Nobody is here: é.', 404, false, 'info', {})
      const reading = exchange.readBody()
      const body = reading instanceof Uint8Array ? reading : await reading
      one.body = Buffer.from(body).toString('latin1')
      const text = JSON.stringify(one)
      exchange.answer(
        target.name === 'bytes' ? Buffer.from(text) : text,
        'id-1',
        target.name === 'flags' ? ['stale'] : [],
      )
    } catch (error) {
      const failure = toHeadraceError(error)
      one.body ??= failure.code
      exchange.refuse(failure)
    }
  }

const PREDICT_HEADERS = [
  'content-type',
  'content-encoding',
  'inference-header-content-length',
  'headrace-unit',
  'headrace-priority',
  'traceparent',
] as const

interface Listening {
  readonly server: Server
  readonly port: number
  readonly wire: Wire | undefined
  readonly intake: Intake
  /** Requests that node:http has seen. */
  handed: number
  /** What the handlers saw since it was last emptied. */
  readonly seen: Seen[]
  close(): Promise<void>
}

interface ListenOptions {
  readonly withWire: boolean
  readonly predict?: PredictHandler
  readonly clock?: ManualClock
  readonly onDrop?: () => void
}

/** What `startServer` builds, around another handler. */
async function listen({ withWire, clock, onDrop = () => {}, ...options }: ListenOptions): Promise<Listening> {
  const seen: Seen[] = []
  const predict = options.predict ?? echoTo(seen)
  const guard = createLoopbackGuard()
  const intake = new Intake({ platform: testPlatform(), maxBytes: 1024 * 1024, stallMs: 1000 })
  const clients = new Clients(clock ?? systemClock, onDrop)
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    listening.handed++
    try {
      guard(request.headers.host, request.headers.origin)
    } catch (error) {
      sendError(response, toHeadraceError(error))
      return
    }
    const target = request.method === 'POST' ? predictTarget(request.url!) : undefined
    if (target !== undefined && target !== 'bad')
      void predict(new NodeExchange(request, response, BODY_LIMIT, intake, clients), target)
    else {
      const text = `${request.method} ${request.url}`
      seen.push({ request: text })
      sendError(response, new HeadraceError('TEST_OTHER', text, 404, false, 'info', {}))
    }
  }
  const refuseMalformed = (code: string | undefined, socket: Socket): void => {
    if (!socket.writable || code === 'ECONNRESET') {
      socket.destroy()
      return
    }
    const body = errorBody(new HeadraceError('TEST_MALFORMED', code ?? '', 400, false, 'info', {}))
    socket.end(`HTTP/1.1 400 Bad Request\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
  }
  const server = createServer({ keepAliveTimeout: 75_000, noDelay: true }, handle)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseMalformed(error.code, socket as Socket))
  const wire = withWire
    ? attachWire(server, {
        clock: clock ?? systemClock,
        intake,
        clients,
        predict,
        limits: {
          bodyLimitBytes: BODY_LIMIT,
          headersTimeoutMs: 10_000,
          requestTimeoutMs: 60_000,
          keepAliveTimeoutMs: 75_000,
        },
        guard,
        refuseMalformed,
      })
    : undefined
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const listening: Listening = {
    server,
    port: (server.address() as AddressInfo).port,
    wire,
    intake,
    handed: 0,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
        wire?.closeAll()
      }),
  }
  return listening
}

class Caller {
  received = ''
  isClosed = false
  #changed: () => void = () => {}

  private constructor(readonly socket: Socket) {
    socket.setNoDelay()
    const change = (): void => this.#changed()
    socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1')
      change()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosed = true
      change()
    })
  }

  static open(port: number): Promise<Caller> {
    return new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new Caller(socket)))
    })
  }

  /** Each piece is read by the server before the next is sent: both are in this process, and the loopback is immediate. */
  async send(...pieces: string[]): Promise<void> {
    for (const piece of pieces) {
      if (!this.socket.writable) return
      await new Promise<void>((resolve) => this.socket.write(piece, 'latin1', () => resolve()))
      await nextTurn()
      await nextTurn()
    }
  }

  /** Says that nothing more comes, and waits for the server to close. */
  async ended(): Promise<string> {
    this.socket.end()
    await this.until(() => this.isClosed)
    return this.received
  }

  async until(claim: () => boolean): Promise<void> {
    while (!claim())
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
  }

  /** Waits for so many replies. */
  replies(count: number): Promise<void> {
    return this.until(() => this.received.split('HTTP/1.1 ').length > count || this.isClosed)
  }
}

async function exchange(port: number, pieces: readonly string[]): Promise<string> {
  const caller = await Caller.open(port)
  await caller.send(...pieces)
  return (await caller.ended()).replaceAll(/Date: [^\r]*\r\n/g, 'Date\r\n')
}

const request = (
  body: string,
  { name = 'fraud', lines = '' }: { readonly name?: string; readonly lines?: string } = {},
): string =>
  `POST /v2/models/${name}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`

let oracle: Listening
let wired: Listening

beforeAll(async () => {
  oracle = await listen({ withWire: false })
  wired = await listen({ withWire: true })
})
afterAll(async () => {
  await oracle.close()
  await wired.close()
})

/**
 * Both servers see the same requests, and answer them with the same bytes. When the bytes end in something malformed, node:http
 * leaves requests before it unanswered or does not say that it refused, depending on the turn in which it notices; then it is
 * the requests that count.
 */
async function expectSame(pieces: readonly string[]): Promise<string> {
  oracle.seen.length = 0
  wired.seen.length = 0
  const [expected, arrived] = await Promise.all([exchange(oracle.port, pieces), exchange(wired.port, pieces)])
  await nextTurn()
  expect(wired.seen).toEqual(oracle.seen)
  const refusals = [expected, arrived].filter((replies) => replies.includes('TEST_MALFORMED'))
  if (refusals.length === 0) expect(arrived).toBe(expected)
  else if (refusals.length === 2 && !expected.includes('HPE_CLOSED_CONNECTION'))
    expect(refusal(arrived)).toBe(refusal(expected))
  return arrived
}

const refusal = (replies: string): string => replies.slice(replies.lastIndexOf('HTTP/1.1 '))

const statuses = (replies: string): number[] =>
  [...replies.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

describe('the wire', () => {
  it('answers a plain prediction itself, byte for byte as node:http would', async () => {
    const before = wired.handed
    expect(statuses(await expectSame([request('{"a":1}')]))).toEqual([200])
    expect(wired.handed).toBe(before)
  })

  it.each([
    ['flags', request('{}', { name: 'flags' })],
    ['a body of bytes', request('{}', { name: 'bytes' })],
    ['an error', request('{}', { name: 'nobody' })],
    ['text beyond ASCII', request('{"name":"\u00e9\u00ff"}')],
    ['an empty body', request('')],
    [
      'a unit, a priority and a trace',
      request('{}', { lines: 'headrace-unit: u\r\nheadrace-priority: low\r\ntraceparent: 00\r\n' }),
    ],
    ['Connection: close', request('{}', { lines: 'Connection: close\r\n' }) + request('{"never":"read"}')],
    ['Connection: keep-alive', request('{}', { lines: 'Connection: keep-alive\r\n' })],
  ])('answers with %s as node:http would', async (_, text) => {
    const before = wired.handed
    await expectSame([text])
    expect(wired.handed).toBe(before)
  })

  it('answers the same wherever the bytes are split', async () => {
    const text = request('{"a":[1,2,3]}') + request('{}', { lines: 'headrace-unit: u\r\n' })
    const expected = await exchange(oracle.port, [text])
    const before = wired.handed
    for (let at = 1; at < text.length; at++)
      expect(await exchange(wired.port, [text.slice(0, at), text.slice(at)])).toBe(expected)
    expect(await exchange(wired.port, [...text])).toBe(expected)
    expect(wired.handed).toBe(before)
  })

  it('hands a connection over with every byte that was not answered, wherever it is split', async () => {
    const text = `${request('{"a":1}')}GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n${request('{"b":2}')}`
    const expected = await exchange(oracle.port, [text])
    expect(statuses(expected)).toEqual([200, 404, 200])
    for (let at = 1; at < text.length; at++)
      expect(await exchange(wired.port, [text.slice(0, at), text.slice(at)])).toBe(expected)
    expect(await exchange(wired.port, [...text])).toBe(expected)
  })

  it('hands over bodies above the limit of a request, and node:http refuses them', async () => {
    const replies = await exchange(wired.port, [request('x'.repeat(BODY_LIMIT + 1))])
    expect(statuses(replies)).toEqual([413])
    expect(replies).toContain('HTTP_BODY_TOO_LARGE')
    expect(statuses(await expectSame([request('x'.repeat(BODY_LIMIT))]))).toEqual([200])
  })

  it.each([
    ['a foreign host', request('{}').replace('localhost', 'evil.example')],
    ['a foreign origin', request('{}', { lines: 'Origin: https://evil.example\r\n' })],
  ])('refuses %s', async (_, text) => {
    expect(statuses(await expectSame([text]))).toEqual([403])
    // Also on a connection that was answered before.
    expect(statuses(await expectSame([request('{}'), text]))).toEqual([200, 403])
  })

  /** What has made two parsers disagree elsewhere. */
  it.each([
    ['a length and chunks', request('0\r\n\r\n', { lines: 'Transfer-Encoding: chunked\r\n' })],
    ['chunks', request('', { lines: 'Transfer-Encoding: chunked\r\n' }).replace('Content-Length: 0\r\n', '')],
    [
      'chunks and a request in them',
      `${request('', { lines: 'Transfer-Encoding: chunked\r\n' }).replace('Content-Length: 0\r\n', '')}5\r\nPOST \r\n0\r\n\r\n`,
    ],
    ['xchunked', request('{}', { lines: 'Transfer-Encoding: xchunked\r\n' })],
    ['a folded Transfer-Encoding', request('{}', { lines: 'Transfer-Encoding:\r\n chunked\r\n' })],
    ['a space before its colon', request('{}', { lines: 'Transfer-Encoding : chunked\r\n' })],
    ['a tab before its colon', request('{}', { lines: 'Transfer-Encoding\t: chunked\r\n' })],
    ['two equal lengths', request('{}', { lines: 'Content-Length: 2\r\n' })],
    ['two lengths', request('{}', { lines: 'Content-Length: 44\r\n' })],
    ['a length with a plus', request('{}').replace('Length: 2', 'Length: +2')],
    ['a negative length', request('{}').replace('Length: 2', 'Length: -2')],
    ['a length with a zero before it', request('{}').replace('Length: 2', 'Length: 02')],
    ['a list of lengths', request('{}').replace('Length: 2', 'Length: 2, 2')],
    ['a length that overflows', request('{}').replace('Length: 2', 'Length: 18446744073709551618')],
    ['a length with a vertical tab', request('{}').replace('Length: 2', 'Length: \u000b2')],
    ['a length with a NUL', request('{}').replace('Length: 2', 'Length: 2\u0000')],
    ['an underscore for the hyphen', request('{}', { lines: 'Content_Length: 5\r\n' })],
    ['a bare newline before a length', request('{}').replace('json\r\n', 'json\n')],
    ['a bare newline at the end of the head', request('{}').replace('\r\n\r\n', '\r\n\n')],
    ['a bare carriage return in a value', request('{}', { lines: 'X-A: b\rContent-Length: 44\r\n' })],
    ['a header before the first', request('{}').replace('HTTP/1.1\r\n', 'HTTP/1.1\r\n X: y\r\n')],
    ['an empty line before the request', `\r\n${request('{}')}`],
    ['a word after the version', request('{}').replace('HTTP/1.1', 'HTTP/1.1 x')],
    ['HTTP/0.9', request('{}').replace('HTTP/1.1', 'HTTP/0.9')],
    ['HTTP/1.10', request('{}').replace('HTTP/1.1', 'HTTP/1.10')],
    [
      'HTTP/1.0 with keep-alive',
      request('{}', { lines: 'Connection: keep-alive\r\n' }).replace('HTTP/1.1', 'HTTP/1.0'),
    ],
    ['Connection that names a length', request('{}', { lines: 'Connection: content-length\r\n' })],
    ['Upgrade', request('{}', { lines: 'Connection: upgrade\r\nUpgrade: h2c\r\n' })],
    ['Expect', request('{}', { lines: 'Expect: 100-continue\r\n' })],
    ['a quoted host', request('{}').replace('Host: localhost', 'Host: "localhost"')],
    ['two hosts', request('{}', { lines: 'Host: evil.example\r\n' })],
    ['no host', request('{}').replace('Host: localhost\r\n', '')],
    ['a body that is shorter than it says', request('{}').replace('Length: 2', 'Length: 20')],
    ['a head that ends in the middle', request('{}').slice(0, 60)],
  ])('leaves %s to node:http, alone and after a request that it read', async (_, text) => {
    await expectSame([text])
    await expectSame([request('{"a":1}') + text + request('{"smuggled":true}')])
    await expectSame([request('{"a":1}'), text, request('{"smuggled":true}')])
  })

  it('answers whatever comes as node:http does', async () => {
    const line = fc.constantFrom(
      'X-A: b',
      'x-empty:',
      'x-spaces:   b   ',
      'Accept: */*',
      'headrace-unit: u',
      'headrace-unit: v',
      'Content-Type: text/plain',
      'Content-Length: 2',
      'Transfer-Encoding: chunked',
      'Connection: close',
      'Connection: keep-alive',
      'Connection: Keep-Alive, x',
      'Expect: 100-continue',
      'traceparent: 00-0123',
      'Host: 127.0.0.1:1',
      'Origin: http://localhost',
      'Origin: http://evil.example',
      ' folded',
      'no colon',
      'X-\u00e9: b',
      'X-Latin: \u00e9',
      'X-Tab: a\tb',
    )
    const one = fc.record({
      method: fc.oneof(
        { weight: 8, arbitrary: fc.constant('POST') },
        { weight: 1, arbitrary: fc.constantFrom('GET', 'PUT', 'post') },
      ),
      path: fc.oneof(
        {
          weight: 8,
          arbitrary: fc.constantFrom(
            '/v2/models/a/infer',
            '/v1/models/a:predict',
            '/api/v1/predict/a',
            '/v2/models/nobody/infer',
          ),
        },
        {
          weight: 1,
          arbitrary: fc.constantFrom(
            '/',
            '/v2/models/a/versions/0/infer',
            '/v2/models/a/infer?x=1',
            '/v2/models/%ff/infer',
            '*',
          ),
        },
      ),
      lines: fc.array(line, { maxLength: 3 }),
      body: fc.string({ maxLength: 40 }),
    })
    const text = fc.array(one, { minLength: 1, maxLength: 3 }).map((requests) =>
      requests
        .map(({ method, path, lines, body }) => {
          const bytes = Buffer.from(body, 'utf8').toString('latin1')
          const all = ['Host: localhost', `Content-Length: ${bytes.length}`, ...lines]
            .map((each) => `${each}\r\n`)
            .join('')
          return `${method} ${path} HTTP/1.1\r\n${all}\r\n${bytes}`
        })
        .join(''),
    )
    const damage = fc.option(
      fc.record({ at: fc.nat(400), byte: fc.constantFrom('', '\r', '\n', ' ', '\u0000', ':', '0', 'A', '\t') }),
    )
    await fc.assert(
      fc.asyncProperty(text, damage, fc.array(fc.nat(400), { maxLength: 3 }), async (whole, hurt, cuts) => {
        const damaged = hurt === null ? whole : whole.slice(0, hurt.at) + hurt.byte + whole.slice(hurt.at + 1)
        const places = [...new Set(cuts.map((cut) => cut % damaged.length))].sort((a, b) => a - b)
        const pieces = [0, ...places].map((from, i) => damaged.slice(from, places[i]))
        await expectSame(pieces.filter((piece) => piece !== ''))
      }),
      { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
    )
  }, 60_000)
})

/** Predictions that end when the test says so. */
function held(): { predict: PredictHandler; exchanges: Exchange[]; bodies: string[] } {
  const exchanges: Exchange[] = []
  const bodies: string[] = []
  return {
    exchanges,
    bodies,
    async predict(arrived) {
      exchanges.push(arrived)
      try {
        bodies.push(Buffer.from(await arrived.readBody()).toString())
      } catch (error) {
        bodies.push(toHeadraceError(error).code)
      }
    },
  }
}

async function withServer(options: Omit<ListenOptions, 'withWire'>, test: (server: Listening) => Promise<void>) {
  const server = await listen({ ...options, withWire: true })
  try {
    await test(server)
  } finally {
    await server.close()
  }
}

describe('a connection', () => {
  it('gets its answers in the order of its requests, however they end', async () => {
    const { predict, exchanges } = held()
    await withServer({ predict }, async ({ port }) => {
      const caller = await Caller.open(port)
      await caller.send(['a', 'b', 'c', 'd'].map((name) => request(`"${name}"`)).join(''))
      expect(exchanges).toHaveLength(4)
      exchanges[2]!.answer('third', '3', [])
      exchanges[1]!.answer('second', '2', [])
      await nextTurn()
      expect(caller.received).toBe('')
      exchanges[0]!.answer('first', '1', [])
      await caller.replies(3)
      exchanges[3]!.refuse(new HeadraceError('TEST', 'fourth', 400, false, 'info', {}))
      await caller.replies(4)
      expect(caller.received.match(/first|second|third|fourth/g)).toEqual(['first', 'second', 'third', 'fourth'])
      caller.socket.destroy()
    })
  })

  it('is handed over only when everything before is answered', async () => {
    const { predict, exchanges } = held()
    await withServer({ predict }, async (server) => {
      const caller = await Caller.open(server.port)
      await caller.send(
        `${request('1')}${request('2')}GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n`,
        'GET /mo',
        're HTTP/1.1\r\nHost: x\r\n\r\n',
      )
      expect(server.handed).toBe(0)
      exchanges[1]!.answer('second', '2', [])
      exchanges[0]!.answer('first', '1', [])
      await caller.replies(4)
      expect(caller.received.match(/first|second|GET \/other|ACCESS_HOST_REFUSED/g)).toEqual([
        'first',
        'second',
        'GET /other',
        'ACCESS_HOST_REFUSED',
      ])
      expect(server.handed).toBe(2)
      caller.socket.destroy()
    })
  })

  it('has at most 64 requests under way, and the rest of thousands waits', async () => {
    const { predict, exchanges } = held()
    await withServer({ predict }, async ({ port }) => {
      const caller = await Caller.open(port)
      const sending = caller.send(request('{}').repeat(1000))
      for (let answered = 0; answered < 1000; answered++) {
        while (exchanges.length <= answered) await nextTurn()
        expect(exchanges.length - answered).toBeLessThanOrEqual(64)
        exchanges[answered]!.answer(`<${answered}>`, 'id', [])
      }
      await sending
      await caller.replies(1000)
      expect(caller.received.match(/<\d+>/g)).toEqual(Array.from({ length: 1000 }, (_, i) => `<${i}>`))
      caller.socket.destroy()
    })
  })

  it('of a client that does not read is not read either, and gets everything once it reads', async () => {
    const large = 'x'.repeat(64 * 1024)
    let answered = 0
    const predict: PredictHandler = async (arrived) => {
      answered++
      arrived.answer(large, 'id', [])
    }
    await withServer({ predict }, async ({ port }) => {
      const caller = await Caller.open(port)
      caller.socket.pause()
      const sending = caller.send(request('{}').repeat(400))
      let before = -1
      while (answered !== before) {
        before = answered
        for (let turn = 0; turn < 20; turn++) await nextTurn()
      }
      // What the system's own buffers take, and a little more.
      expect(answered).toBeLessThan(300)
      caller.socket.resume()
      await sending
      await caller.until(() => caller.received.length > 400 * large.length)
      expect(answered).toBe(400)
      caller.socket.destroy()
    })
  })

  it('reads on after a refusal that came before the end of the body', async () => {
    await withServer({}, async (server) => {
      const caller = await Caller.open(server.port)
      const text = request('x'.repeat(1000), { name: 'nobody' })
      await caller.send(text.slice(0, 200))
      await caller.replies(1)
      await caller.send(text.slice(200, 500), text.slice(500) + request('{}'))
      await caller.replies(2)
      expect(statuses(caller.received)).toEqual([404, 200])
      expect([server.handed, server.intake.heldBytes]).toEqual([0, 0])
      caller.socket.destroy()
    })
  })

  it('that ends during a body rejects the reader and holds no room for it', async () => {
    const { predict, bodies } = held()
    await withServer({ predict }, async ({ port, intake }) => {
      const caller = await Caller.open(port)
      await caller.send(request('x'.repeat(1000)).slice(0, 300))
      await expect.poll(() => intake.heldBytes).toBe(1000)
      caller.socket.destroy()
      while (bodies.length === 0) await nextTurn()
      expect(bodies).toEqual(['HTTP_MALFORMED'])
      expect(intake.heldBytes).toBe(0)
    })
  })

  it.each(['destroy', 'end'] as const)(
    'that goes away (%s) has its predictions cancelled and one look at the queues',
    async (how) => {
      const clock = new ManualClock()
      let drops = 0
      const predictions: { cancelled: boolean }[] = []
      const predict: PredictHandler = async (arrived) => {
        const prediction = { cancelled: false }
        predictions.push(prediction)
        arrived.client.enter(prediction as never)
      }
      await withServer({ predict, clock, onDrop: () => drops++ }, async ({ port }) => {
        const callers = [await Caller.open(port), await Caller.open(port)]
        for (const caller of callers) await caller.send(request('1') + request('2'))
        await expect.poll(() => predictions.map(({ cancelled }) => cancelled)).toEqual([false, false, false, false])
        for (const caller of callers) caller.socket[how]()
        while (!predictions.every(({ cancelled }) => cancelled)) await nextTurn()
        expect(drops).toBe(0)
        clock.advance(5)
        expect(drops).toBe(1)
      })
    },
  )
})

describe('the time limits', () => {
  it('end a connection that sends no whole head, no whole body, or nothing any more', async () => {
    const clock = new ManualClock()
    await withServer({ clock }, async ({ port }) => {
      const silent = await Caller.open(port)
      const slowHead = await Caller.open(port)
      const slowBody = await Caller.open(port)
      const idle = await Caller.open(port)
      await slowHead.send(request('{}').slice(0, 30))
      await slowBody.send(request('{}').slice(0, -1))
      await idle.send(request('{}'))
      await idle.replies(1)
      clock.advance(9_000)
      await nextTurn()
      expect([silent, slowHead, slowBody, idle].map(({ isClosed }) => isClosed)).toEqual([false, false, false, false])
      clock.advance(3_000)
      await silent.until(() => silent.received !== '')
      await slowHead.until(() => slowHead.received !== '')
      expect(slowHead.received).toContain('ERR_HTTP_REQUEST_TIMEOUT')
      expect(slowBody.received).toBe('')
      clock.advance(50_000)
      await slowBody.until(() => slowBody.received !== '')
      expect(slowBody.received).toContain('ERR_HTTP_REQUEST_TIMEOUT')
      expect(idle.isClosed).toBe(false)
      clock.advance(15_000)
      await idle.until(() => idle.isClosed)
      // Whoever was refused and does not close is cut off.
      await silent.until(() => silent.isClosed)
    })
  })

  it('do not count for a request that waits to be handed over', async () => {
    const clock = new ManualClock()
    const { predict, exchanges } = held()
    await withServer({ clock, predict }, async (server) => {
      const caller = await Caller.open(server.port)
      await caller.send(`${request('{}')}POST`, ' /other HTTP/1.1\r\nHost: localhost\r\n\r\n')
      clock.advance(200_000)
      exchanges[0]!.answer('late', 'id', [])
      await caller.replies(2)
      expect(statuses(caller.received)).toEqual([200, 404])
      caller.socket.destroy()
    })
  })

  it('do not count while a prediction runs', async () => {
    const clock = new ManualClock()
    const { predict, exchanges } = held()
    await withServer({ clock, predict }, async ({ port }) => {
      const caller = await Caller.open(port)
      await caller.send(request('{}'))
      clock.advance(200_000)
      await nextTurn()
      exchanges[0]!.answer('late', 'id', [])
      await caller.replies(1)
      expect(caller.received).toContain('late')
      caller.socket.destroy()
    })
  })
})

describe('a wire that closes', () => {
  it('tells each client with its last answer, and cuts only those that are idle', async () => {
    const { predict, exchanges } = held()
    await withServer({ predict }, async (server) => {
      const busy = await Caller.open(server.port)
      const idle = await Caller.open(server.port)
      await busy.send(request('1') + request('2'))
      server.wire!.isClosing = true
      exchanges[0]!.answer('first', '1', [])
      await busy.replies(1)
      expect(busy.received).toContain('Connection: keep-alive')
      server.wire!.closeIdle()
      await idle.until(() => idle.isClosed)
      exchanges[1]!.answer('second', '2', [])
      await busy.until(() => busy.isClosed)
      expect(busy.received.match(/Connection: .*/g)).toEqual(['Connection: keep-alive', 'Connection: close'])
    })
  })
})
