// A server with keys, and callers with each of them.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KeyRequest } from '../../src/app/index.js'
import type { Actor } from '../../src/decisions/index.js'
import { startTestServer, type TestServer, type TestServerOptions } from '../support/start-server.js'

const ANNA: Actor = { kind: 'person', name: 'anna' }

export interface KeyedServer extends TestServer {
  /** Makes a key; what callers send. */
  key(request: KeyRequest): Promise<string>
  readonly admin: string
  end(): Promise<void>
}

export async function startKeyedServer(options: Partial<TestServerOptions> = {}): Promise<KeyedServer> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'headrace-test-'))
  const server = await startTestServer({ models: ['fraud'], ...options, folder })
  const key = async (request: KeyRequest) => (await server.app.services.access.create(request, ANNA)).secret
  const admin = await key({ name: 'admin', role: 'admin' })
  return {
    ...server,
    key,
    admin,
    async end() {
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })
