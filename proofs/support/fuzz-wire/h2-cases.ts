// HTTP/2 that is broken below gRPC: frames that no client sends, on a bare socket. No answer is owed; the server must end the
// connection or go on, and nothing else may notice.
import { connect, type Socket } from 'node:net'
import { encodeRequest, framed } from './grpc-cases.js'
import { below, chance, pick, type Random, randomBytes } from './random.js'
import { rightRequest } from './requests.js'

export interface H2Case {
  readonly kind: string
  readonly bytes: Buffer
  readonly end: 'close' | 'half-close' | 'reset'
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const [DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
]
const END_STREAM = 1
const END_HEADERS = 4

export function frame(type: number, flags: number, stream: number, payload: Buffer, length = payload.length): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream >>> 0, 5)
  return Buffer.concat([head, payload])
}

/** A header without indexing, name and value as they are. */
function literal(name: string, value: string): Buffer {
  const text = (part: string) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part)])
  return Buffer.concat([Buffer.from([0]), text(name), text(value)])
}

const CALL = Buffer.concat([
  literal(':method', 'POST'),
  literal(':scheme', 'http'),
  literal(':path', '/inference.GRPCInferenceService/ModelStreamInfer'),
  literal(':authority', 'localhost'),
  literal('content-type', 'application/grpc'),
  literal('te', 'trailers'),
])

/** The start of a connection and a call that waits for its first message. */
export function openStreams(from: number, count: number): Buffer {
  const streams = Array.from({ length: count }, (_, i) => frame(HEADERS, END_HEADERS, from + 2 * i, CALL))
  return Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, Buffer.alloc(0)), ...streams])
}

export function h2Case(random: Random): H2Case {
  const end = pick(random, ['close', 'half-close', 'reset'] as const)
  const settings = frame(SETTINGS, 0, 0, Buffer.alloc(0))
  const start = Buffer.concat([PREFACE, settings])
  const after = (kind: string, ...frames: Buffer[]): H2Case => ({ kind, bytes: Buffer.concat([start, ...frames]), end })
  const id = pick(random, [0, 1, 2, 3, 0x7fffffff])
  const many = (make: (i: number) => Buffer) => Array.from({ length: 20 + below(random, 300) }, (_, i) => make(i))
  switch (random.uint32() % 20) {
    case 0:
      return { kind: 'no preface', bytes: randomBytes(random, 1 + below(random, 200)), end }
    case 1:
      return { kind: 'preface cut short', bytes: PREFACE.subarray(0, below(random, PREFACE.length)), end }
    case 2:
      return {
        kind: 'HTTP/1.1',
        bytes: Buffer.from('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello'),
        end,
      }
    case 3:
      return { kind: 'TLS', bytes: Buffer.from('16030100c8010000c40303', 'hex'), end }
    case 4:
      return {
        kind: 'random frames',
        bytes: Buffer.concat([
          start,
          ...many(() =>
            frame(
              below(random, 12),
              random.uint32() & 0xff,
              pick(random, [0, 1, 2, 3, 5]),
              randomBytes(random, below(random, 40)),
            ),
          ),
        ]),
        end,
      }
    case 5:
      return after('SETTINGS flood', ...many(() => settings))
    case 6:
      return after('PING flood', ...many(() => frame(PING, 0, 0, Buffer.alloc(8))))
    case 7:
      return after('PING of a wrong length', frame(PING, 0, id, randomBytes(random, below(random, 20))))
    case 8:
      return after('SETTINGS of wrong values', frame(SETTINGS, chance(random, 0.3) ? 1 : 0, id, setting(random)))
    case 9:
      return after(
        'CONTINUATION flood',
        frame(HEADERS, 0, 1, CALL),
        ...many(() => frame(CONTINUATION, 0, 1, literal('x', 'y'))),
      )
    case 10:
      return after('CONTINUATION without HEADERS', frame(CONTINUATION, END_HEADERS, 1, CALL))
    case 11:
      return after(
        'headers that do not decompress',
        frame(HEADERS, END_HEADERS, 1, randomBytes(random, 1 + below(random, 100))),
      )
    case 12:
      return after(
        'rapid reset',
        ...many((i) =>
          Buffer.concat([
            frame(HEADERS, END_HEADERS, 2 * i + 1, CALL),
            frame(RST_STREAM, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])),
          ]),
        ),
      )
    case 13:
      return after(
        'WINDOW_UPDATE',
        frame(HEADERS, END_HEADERS, 1, CALL),
        ...many(() =>
          frame(
            WINDOW_UPDATE,
            0,
            pick(random, [0, 1]),
            pick(random, [Buffer.alloc(4), Buffer.from('7fffffff', 'hex'), Buffer.alloc(3)]),
          ),
        ),
      )
    case 14:
      return after('DATA where none belongs', frame(DATA, END_STREAM, id, randomBytes(random, 20)))
    case 15:
      return after(
        'padding longer than the frame',
        frame(HEADERS, END_HEADERS, 1, CALL),
        frame(DATA, 8, 1, Buffer.from([200, 1, 2])),
      )
    case 16:
      return after('frame that is too long', frame(DATA, 0, 1, Buffer.alloc(10), pick(random, [16_385, 0xffffff])))
    case 17:
      return after(
        'frames of a server',
        pick(random, [
          frame(PUSH_PROMISE, END_HEADERS, 1, CALL),
          frame(GOAWAY, 0, 0, randomBytes(random, 8)),
          frame(PRIORITY, 0, 1, Buffer.from('0000000110', 'hex')),
        ]),
      )
    case 18: {
      // A window of 0 bytes: the client asks many times and reads nothing.
      const window = frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]))
      const calls = Array.from({ length: 1 + below(random, 50) }, (_, i) => {
        const message = framed(encodeRequest(random, rightRequest(random), false))
        return Buffer.concat([
          frame(HEADERS, END_HEADERS, 2 * i + 1, CALL),
          frame(DATA, END_STREAM, 2 * i + 1, message),
        ])
      })
      return after('answers that are never read', window, ...calls)
    }
    default:
      return {
        ...after(
          'call that is never sent',
          frame(HEADERS, END_HEADERS, 1, CALL),
          frame(DATA, 0, 1, Buffer.from([0, 0, 0, 1, 0, 1, 2, 3])),
        ),
        end,
      }
  }
}

function setting(random: Random): Buffer {
  const payload = Buffer.alloc(6)
  payload.writeUInt16BE(pick(random, [1, 2, 3, 4, 5, 6, 9]), 0)
  payload.writeUInt32BE(pick(random, [0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff]), 2)
  return chance(random, 0.8) ? payload : payload.subarray(0, 5)
}

/** Sends it and goes, in its own way. Rejects when the server refuses connections. */
export function sendH2(port: number, { bytes, end }: H2Case): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const leave = setTimeout(() => {
      if (end === 'reset') socket.resetAndDestroy()
      else if (end === 'half-close') socket.end()
      else socket.destroy()
      // A server that does not close after a half-close is left with the socket no longer than this.
      setTimeout(() => socket.destroy(), 50).unref()
    }, 10)
    socket.on('data', () => {})
    socket.once('close', () => {
      clearTimeout(leave)
      resolve()
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') reject(new Error('the server is gone'))
    })
    socket.write(bytes)
  })
}

/** Sockets with `perSocket` calls each that never send anything; destroy them to let go. */
export async function idleStreams(port: number, streams: number, perSocket: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let open = 0; open < streams; open += perSocket) {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('error', () => {})
    socket.on('data', () => {})
    await new Promise((resolve) => {
      socket.write(openStreams(1, Math.min(perSocket, streams - open)), resolve)
      socket.once('error', resolve)
    })
    sockets.push(socket)
  }
  return sockets
}
