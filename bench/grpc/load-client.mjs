// A closed-loop gRPC load over one connection with grpc-js's own client: so many calls in flight, each is followed by the next as
// soon as it is answered. It runs in a process of its own and says what it did as one line of JSON.
import process from 'node:process'
import { Client, credentials } from '@grpc/grpc-js'
import { inferenceService } from '../../dist/oip/index.js'

const { address, inFlight, durationMs, message } = JSON.parse(process.argv[2])
const { ModelInfer } = inferenceService
const client = new Client(address, credentials.createInsecure())
const bytes = Buffer.from(message, 'base64')
const latencies = []
const startMs = performance.now()
let requests = 0
let errors = 0
let open = inFlight

function next() {
  const sentMs = performance.now()
  client.makeUnaryRequest(
    ModelInfer.path,
    (sent) => sent,
    ModelInfer.responseDeserialize,
    bytes,
    (error, reply) => {
      const nowMs = performance.now()
      latencies.push(nowMs - sentMs)
      requests++
      if (error || reply.rawOutputContents.length < 1) {
        errors++
        if (errors === 1) console.error(error)
      }
      if (nowMs - startMs < durationMs) next()
      else if (--open === 0) end(nowMs)
    },
  )
}

function end(nowMs) {
  latencies.sort((a, b) => a - b)
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]
  console.log(JSON.stringify({ requests, errors, seconds: (nowMs - startMs) / 1000, p50Ms: at(0.5), p99Ms: at(0.99) }))
  client.close()
}

client.waitForReady(Date.now() + 10_000, (error) => {
  if (error) throw error
  for (let i = 0; i < inFlight; i++) next()
})
