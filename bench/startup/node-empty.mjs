// The baseline: a Node process that listens and says so, nothing else.
import { createServer } from 'node:http'
import process from 'node:process'

const server = createServer((_, response) => response.end())
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}` }))
process.once('SIGTERM', () => process.exit(0))
