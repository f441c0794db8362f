// Binary HTTP and gRPC under attack: requests that were right once and then had a length, a dimension, a frame or a byte changed;
// bombs, half of a request, thousands of calls that never send anything. Every answer must have a status that docs/protocols.md
// gives for it, right requests in between must be answered rightly and in time, and the process must neither end nor grow.
import type { Socket } from 'node:net'
import type { Proof, ProofOutcome } from './proof.js'
import {
  call,
  encodeRequest,
  framed,
  type GrpcAnswer,
  type GrpcCase,
  GrpcConnection,
  grpcCase,
} from './support/fuzz-wire/grpc-cases.js'
import { type H2Case, h2Case, idleStreams, sendH2 } from './support/fuzz-wire/h2-cases.js'
import { type HttpAnswer, type HttpCase, HttpConnection, httpCase } from './support/fuzz-wire/http-cases.js'
import { caseRandom } from './support/fuzz-wire/random.js'
import { startWireServer, type WireServer } from './support/fuzz-wire/server.js'
import { MiB, residentBytes } from './support/process.js'

const WORKERS = 8
/** A complete request is answered, and a canary too, within this time, on a machine that does other things as well. */
const PATIENCE_MS = 10_000
const CANARY_MS = 5_000
const CANARY_EVERY = 200
/** Memory is first read after this share of the cases, when caches and pools have their size. */
const WARM_SHARE = 0.3
const MAX_GROWTH_BYTES = 96 * MiB
/** In a full run; a share opens as much of it. */
const IDLE_STREAMS = 10_000
const STREAMS_PER_SOCKET = 100
const MAX_FAILURES = 20

/**
 * What a request can be answered over HTTP: 403 to a Host that was changed, 501 to what is not offered, 504 to a timeout of
 * microseconds. 429 and 503 say to come again, which a server that is attacked may.
 */
const HTTP_STATUSES = new Set([200, 400, 403, 404, 405, 408, 411, 413, 415, 417, 429, 431, 501, 503, 504])
/** gRPC: OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE. */
const GRPC_STATUSES = new Set([0, 1, 3, 4, 5, 8, 12, 14])
/** What is no gRPC at all is answered by HTTP's status alone. */
const NO_GRPC_STATUSES = new Set([400, 404, 405, 415, 431])

interface Attack {
  readonly server: WireServer
  readonly failures: string[]
  readonly outcomes: Record<string, number>
  readonly canaryMs: number[]
}

type Case = { wire: 'http'; case: HttpCase } | { wire: 'grpc'; case: GrpcCase } | { wire: 'h2'; case: H2Case }

export const proof: Proof = {
  claim:
    'Nothing that arrives over binary HTTP or gRPC crashes the server, gets an answer that is not documented, disturbs a right request or makes memory grow.',
  fullCount: 100_000,
  async run({ count, seed, progress }) {
    const attack: Attack = { server: await startWireServer(), failures: [], outcomes: {}, canaryMs: [] }
    const { server, failures } = attack
    let sent = 0
    let warmBytes = 0

    async function worker(): Promise<void> {
      const http = new HttpConnection(server.httpPort, PATIENCE_MS)
      const grpc = new GrpcConnection(server.grpcPort, PATIENCE_MS)
      while (sent < count && failures.length < MAX_FAILURES && server.ended() === undefined) {
        const number = ++sent
        const made = caseOf(seed, number)
        await play(attack, made, http, grpc).then(
          (problem) => problem !== undefined && failures.push(`${problem} for ${told(number, made)}`),
          (error: unknown) =>
            failures.push(`${error instanceof Error ? error.message : error} for ${told(number, made)}`),
        )
        if (number % CANARY_EVERY === 0) {
          await canary(attack, `after case ${number}`)
          progress(number)
        }
        if (warmBytes === 0 && number >= count * WARM_SHARE) warmBytes = residentBytes(server.pid)
      }
      http.close()
      grpc.close()
    }

    try {
      await canary(attack, 'before the first case')
      await Promise.all(Array.from({ length: WORKERS }, worker))
      const idle = await manyIdle(
        attack,
        Math.max(STREAMS_PER_SOCKET, Math.round((IDLE_STREAMS * count) / this.fullCount)),
      )
      await canary(attack, 'at the end')
      const ended = server.ended()
      if (ended !== undefined) failures.push(ended)
      const growthBytes = ended === undefined ? residentBytes(server.pid) - warmBytes : 0
      if (growthBytes > MAX_GROWTH_BYTES)
        failures.push(`memory grew by ${Math.round(growthBytes / MiB)} MiB after the warm-up`)
      return outcome(attack, sent, idle, growthBytes)
    } finally {
      await server.stop()
    }
  },
}

function caseOf(seed: number, number: number): Case {
  const random = caseRandom(seed, number)
  const wire = random.next()
  if (wire < 0.45) return { wire: 'http', case: httpCase(random) }
  if (wire < 0.93) return { wire: 'grpc', case: grpcCase(random) }
  return { wire: 'h2', case: h2Case(random) }
}

/** Enough to make it again: `--seed` and `--count` give the same case at the same number. */
function told(number: number, made: Case): string {
  const bytes = made.wire === 'grpc' ? Buffer.concat(made.case.writes) : made.case.bytes
  const headers = made.wire === 'grpc' ? ` ${JSON.stringify(made.case.headers).slice(0, 300)}` : ''
  const start = bytes.subarray(0, 400)
  const text = made.wire === 'http' ? JSON.stringify(start.toString('latin1')) : start.toString('hex')
  return `case ${number} (${made.wire}, ${made.case.kind}, then ${made.case.end})${headers}: ${bytes.length} bytes, ${text}`
}

/** What was wrong with the answer; undefined when nothing was. */
async function play(
  attack: Attack,
  made: Case,
  http: HttpConnection,
  grpc: GrpcConnection,
): Promise<string | undefined> {
  const { outcomes } = attack
  const count = (what: string) => {
    outcomes[what] = (outcomes[what] ?? 0) + 1
  }
  if (made.wire === 'h2') {
    await sendH2(attack.server.grpcPort, made.case)
    count('broken HTTP/2 connections')
    return undefined
  }
  if (made.wire === 'http') {
    const answers = await http.send(made.case)
    if (answers.length === 0) count('HTTP, no answer')
    for (const { status } of answers) count(`HTTP ${status}`)
    return problemOfHttp(made.case, answers)
  }
  const answer = await grpc.send(made.case)
  if (answer === undefined) {
    count('gRPC, client went')
    return undefined
  }
  if (answer.status === undefined) count(answer.resetCode === 0 ? `gRPC, HTTP ${answer.http}` : 'gRPC, reset')
  else count(`gRPC ${answer.status}`)
  return problemOfGrpc(made.case, answer)
}

function problemOfHttp(made: HttpCase, answers: readonly HttpAnswer[]): string | undefined {
  for (const { status, headers, body } of answers) {
    if (!HTTP_STATUSES.has(status)) return `HTTP ${status} ${body.toString().slice(0, 300)}`
    if (status >= 400 && body.length > 0 && !/"code":"[A-Z]+_[A-Z0-9_]+"/.test(plain(headers, body)))
      return `HTTP ${status} without a code: ${body.toString().slice(0, 300)}`
  }
  if (made.answers === 1 && answers.length === 0) return 'no answer to a complete request'
  return undefined
}

/** Errors are short and never compressed. */
function plain(headers: string, body: Buffer): string {
  return /\r\ncontent-encoding:/i.test(headers) ? 'compressed' : body.toString()
}

function problemOfGrpc(made: GrpcCase, { http, status, message, code, resetCode }: GrpcAnswer): string | undefined {
  if (status === undefined) {
    // A stream that HTTP/2 itself refuses, or headers that are none of gRPC's.
    if (resetCode !== 0 || (http !== undefined && NO_GRPC_STATUSES.has(http))) {
      return made.kind === 'headers' ? undefined : `no gRPC status (HTTP ${http}, reset ${resetCode})`
    }
    return `no status and no reset (HTTP ${http})`
  }
  if (!GRPC_STATUSES.has(status)) return `gRPC status ${status} (${code}) ${message.slice(0, 300)}`
  return status === 0 || code !== undefined
    ? undefined
    : `gRPC status ${status} without a code: ${message.slice(0, 300)}`
}

/** One right request over each protocol, on connections of their own. */
async function canary({ server, failures, canaryMs }: Attack, when: string): Promise<void> {
  const startMs = performance.now()
  const values = Float32Array.of(1, 2, 3, 4)
  const raw = Buffer.from(values.buffer)
  const json = JSON.stringify({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } }],
    parameters: { binary_data_output: true },
  })
  const http = fetch(`http://127.0.0.1:${server.httpPort}/v2/models/numbers/infer`, {
    method: 'POST',
    headers: { 'inference-header-content-length': String(json.length), connection: 'close' },
    body: Buffer.concat([Buffer.from(json), raw]),
    signal: AbortSignal.timeout(CANARY_MS),
  }).then(async (response) => {
    const bytes = Buffer.from(await response.arrayBuffer())
    return response.status === 200 && bytes.subarray(-16).equals(raw) ? undefined : `HTTP ${response.status} ${bytes}`
  })
  const connection = new GrpcConnection(server.grpcPort, CANARY_MS)
  const draft = {
    model: 'numbers',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1n, 4n], raw, elements: [] }],
    outputs: [],
  }
  const random = { next: () => 0.5, uint32: () => 0 }
  const grpc = connection
    .send({
      kind: 'canary',
      headers: call('ModelInfer'),
      writes: [framed(encodeRequest(random, draft, false))],
      end: 'end',
    })
    .then((answer) =>
      answer?.status === 0 && answer.bytes.subarray(-16).equals(raw)
        ? undefined
        : `gRPC ${answer?.status} ${answer?.message} (reset ${answer?.resetCode})`,
    )
    .finally(() => connection.close())
  for (const [protocol, asked] of [
    ['HTTP', http],
    ['gRPC', grpc],
  ] as const) {
    const problem = await asked.catch((error: unknown) => String(error))
    if (problem !== undefined) failures.push(`a right ${protocol} request ${when} was not answered rightly: ${problem}`)
  }
  canaryMs.push(performance.now() - startMs)
}

/** Calls that never send anything, all at once: the rest must not notice, and what they held must come back. */
async function manyIdle(attack: Attack, streams: number): Promise<number> {
  if (attack.server.ended() !== undefined || attack.failures.length >= MAX_FAILURES) return 0
  let sockets: readonly Socket[] = []
  try {
    sockets = await idleStreams(attack.server.grpcPort, streams, STREAMS_PER_SOCKET)
    for (let i = 0; i < 3; i++) await canary(attack, `amid ${streams} idle streams`)
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  return streams
}

function outcome(
  { failures, outcomes, canaryMs }: Attack,
  cases: number,
  idle: number,
  growthBytes: number,
): ProofOutcome {
  const sorted = [...canaryMs].sort((a, b) => a - b)
  const names = Object.keys(outcomes).sort()
  return {
    failures,
    figures: {
      cases,
      'idle streams at once': idle,
      'right requests in between': 2 * canaryMs.length,
      'median of a pair of them, ms': Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0),
      'slowest pair, ms': Math.round(sorted.at(-1) ?? 0),
      growthMiB: Math.round(growthBytes / MiB),
      ...Object.fromEntries(names.map((name) => [name, outcomes[name]!])),
    },
  }
}
