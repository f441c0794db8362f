// A push over HTTP whose server is killed while the bytes arrive: nothing of it can be seen, and it goes on where it was.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { tempFolder } from '../support/temp-folder.js'
import { type CliServer, LONG, SHOP, startServe } from './support.js'

const MODEL = readFileSync(join(SHOP, 'models/fraud/1/model.onnx'))
const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

interface Upload {
  readonly id: string
  readonly files: readonly { readonly path: string; readonly offset: number }[]
}

async function ask<T>(server: CliServer, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await fetch(server.url + path, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const text = await reply.text()
  if (!reply.ok) throw new Error(`${method} ${path} answered ${reply.status}: ${text}`)
  return JSON.parse(text) as T
}

it('shows nothing of a push whose server was killed, and takes the rest of it after the restart', LONG, async () => {
  const folder = tempFolder()
  // Longer than what a socket holds, so that the server has some of it and not all.
  const weights = Buffer.alloc(24 * 1024 * 1024, 'weights')
  const announced = {
    model: 'big',
    files: [
      { path: 'model.onnx', digest: digestOf(MODEL), sizeBytes: MODEL.length },
      { path: 'notes/weights.bin', digest: digestOf(weights), sizeBytes: weights.length },
    ],
  }
  const start = () => startServe(folder, '--grpc-port', '0', '--log-level', 'error')
  const killed = await start()
  const begun = await ask<Upload>(killed, 'POST', '/api/v1/registry/uploads', announced)
  const sending = request(`${killed.url}/api/v1/registry/uploads/${begun.id}/file?path=notes%2Fweights.bin&offset=0`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream', 'content-length': weights.length },
  })
  sending.on('error', () => undefined)
  sending.write(weights.subarray(0, 10 * 1024 * 1024))
  const offset = async (server: CliServer): Promise<number> =>
    (await ask<Upload>(server, 'GET', `/api/v1/registry/uploads/${begun.id}`)).files[1]!.offset
  await expect.poll(() => offset(killed), { timeout: 60_000 }).toBeGreaterThan(1024 * 1024)
  killed.child.kill('SIGKILL')
  await new Promise((resolve) => killed.child.once('close', resolve))
  sending.destroy()

  const server = await start()
  expect(await ask(server, 'GET', '/api/v1/registry/models')).toEqual({ models: [] })
  const again = await ask<Upload>(server, 'POST', '/api/v1/registry/uploads', announced)
  expect(again.id).toBe(begun.id)
  const [model, rest] = [MODEL, weights].map((bytes, i) => bytes.subarray(again.files[i]!.offset))
  expect(rest!.length).toBeLessThan(weights.length)
  for (const [i, bytes] of [model!, rest!].entries()) {
    const { path, offset: at } = again.files[i]!
    const reply = await fetch(
      `${server.url}/api/v1/registry/uploads/${again.id}/file?path=${encodeURIComponent(path)}&offset=${at}`,
      { method: 'PUT', headers: { 'content-type': 'application/octet-stream' }, body: new Uint8Array(bytes) },
    )
    expect(reply.status).toBe(200)
  }
  expect(await ask(server, 'POST', `/api/v1/registry/uploads/${again.id}/finish`, {})).toMatchObject({
    isNew: true,
    version: { model: 'big', version: 1, isServable: true },
  })
  await server.stop()
})
