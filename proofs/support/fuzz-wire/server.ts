// The server under attack: the compiled command, as people run it, with HTTP and gRPC and a data folder of its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { madeModels } from '../../../bench/support/servers.js'
import { identityModel, twoInputsModel } from '../../../test/support/onnx-models.js'

export interface WireServer {
  readonly pid: number
  readonly httpPort: number
  readonly grpcPort: number
  /** Why it ended, when it did. */
  ended(): string | undefined
  stop(): Promise<void>
}

const BIN = fileURLToPath(new URL('../../../bin/headrace.js', import.meta.url))

export async function startWireServer(): Promise<WireServer> {
  const folder = await madeModels({
    simple: { model: twoInputsModel() },
    texts: { model: identityModel('BYTES', ['rows', 'width']) },
    numbers: { model: identityModel('FP32', ['rows', 'width']) },
  })
  const grpcPort = await freePort()
  const child = spawn(
    process.execPath,
    [BIN, 'serve', folder, '--json', '--port', '0', '--grpc-port', String(grpcPort), '--log-level', 'error'],
    {
      env: { ...process.env, HEADRACE_STORE_DATA_DIR: path.join(folder, '.headrace') },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let ended: string | undefined
  child.once('exit', (code, signal) => (ended = `it ended with ${signal ?? `status ${code}`}`))
  const url = await firstLine(child)
  return {
    pid: child.pid!,
    httpPort: Number(new URL(url).port),
    grpcPort,
    ended: () => ended,
    async stop() {
      if (ended === undefined) {
        child.kill('SIGTERM')
        await new Promise((resolve) => child.once('exit', resolve))
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('The server ended before it listened.')))
    createInterface({ input: child.stdout! }).once('line', (line) => resolve((JSON.parse(line) as { url: string }).url))
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
