// The rival: the usual Express-style wrapper, ONNX Runtime in the process that also answers HTTP.
import { readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import path from 'node:path'
import process from 'node:process'
import ort from 'onnxruntime-node'

const folder = process.argv[2]
const options = { intraOpNumThreads: 1, logSeverityLevel: 3 }
const sessions = new Map()
for (const name of readdirSync(folder))
  sessions.set(name, await ort.InferenceSession.create(path.join(folder, name, '1', 'model.onnx'), options))

const server = createServer(async (request, response) => {
  if (request.method === 'GET') return response.end('{"live":true}')
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const { inputs } = JSON.parse(Buffer.concat(chunks).toString())
  const session = sessions.get(request.url.split('/')[3])
  const feeds = Object.fromEntries(
    inputs.map(({ name, shape, data }) => [name, new ort.Tensor('float32', Float32Array.from(data), shape)]),
  )
  const results = await session.run(feeds)
  const outputs = Object.entries(results).map(([name, { dims, data }]) => ({
    name,
    shape: dims,
    data: Array.from(data, Number),
  }))
  const body = JSON.stringify({ outputs })
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
})
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}` }))
process.once('SIGTERM', () => process.exit(0))
