// A server with a model of scripts to release: versions 1 and 2 answer their number, 3 fails for odd x, 4 for every x but 0 (which it is
// warmed up with), 5 does not load, and 6 never answers any x but 0.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Platform } from '../../src/core/index.js'
import type { Release, ReleaseStatus } from '../../src/release/index.js'
import { startTestServer, type TestServer } from './start-server.js'

const script = (row: string) => `import { defineScript } from 'headrace'
export default defineScript({ inputs: { x: 'FP32' }, outputs: { y: 'FP32' }, timeoutMs: 30_000, ${row} })`

export const RULE_VERSIONS: Readonly<Record<number, string>> = {
  1: script('row: () => ({ y: 1 })'),
  2: script('row: () => ({ y: 2 })'),
  3: script('row: ({ x }) => { if (x % 2 === 1) throw new Error("odd"); return { y: 3 } }'),
  4: script('row: ({ x }) => { if (x > 0) throw new Error("broken"); return { y: 4 } }'),
  5: 'throw new Error("this does not load")',
  6: script('row: ({ x }) => (x > 0 ? new Promise(() => {}) : { y: 6 })'),
}

export function writeRule(folder: string, versions: readonly number[]): void {
  for (const version of versions) {
    const at = join(folder, 'models', 'rule', String(version))
    mkdirSync(at, { recursive: true })
    writeFileSync(join(at, 'model.ts'), RULE_VERSIONS[version]!)
  }
}

export interface ReleaseServer extends TestServer {
  predict(
    unit: string | undefined,
    x?: number,
    endpoint?: string,
  ): Promise<{ status: number; y: number | undefined; flags: string[] }>
  start(body: object): Promise<{ status: number; json: Release & { code?: string; error?: string } }>
  act(id: string, act: string, body?: object): Promise<{ status: number; json: Release & { code?: string } }>
  status(id: string): Promise<ReleaseStatus>
}

export async function startReleaseServer(
  folder: string,
  config: Parameters<typeof startTestServer>[0]['config'] = {},
  versions: readonly number[] = [1, 2, 3, 4, 5, 6],
  platform: Partial<Platform> = {},
): Promise<ReleaseServer> {
  writeRule(folder, versions)
  const server = await startTestServer({
    folder,
    models: [],
    platform,
    config: {
      ...config,
      endpoints: {
        shop: { route: { kind: 'version', model: 'rule', version: 1 }, deadlineMs: 5_000 },
        ...config['endpoints'],
      },
    },
  })
  const json = async <T>(method: string, path: string, body?: object): Promise<{ status: number; json: T }> => {
    const response = await fetch(`${server.url}${path}`, {
      method,
      headers: { 'content-type': 'application/json', 'headrace-actor': 'anna' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, json: (await response.json()) as T }
  }
  return Object.assign(server, {
    async predict(unit: string | undefined, x = 0, endpoint = 'shop') {
      const { status, json: answer } = await json<{ outputs?: { y: number }; flags?: string[] }>(
        'POST',
        `/api/v1/predict/${endpoint}`,
        {
          inputs: { x },
          ...(unit === undefined ? {} : { unit }),
        },
      )
      return { status, y: answer.outputs?.y, flags: answer.flags ?? [] }
    },
    start: (body: object) =>
      json<Release & { code?: string }>('POST', '/api/v1/releases', { endpoint: 'shop', ...body }),
    act: (id: string, act: string, body: object = {}) =>
      json<Release & { code?: string }>('POST', `/api/v1/releases/${id}/${act}`, body),
    status: async (id: string) => (await json<ReleaseStatus>('GET', `/api/v1/releases/${id}`)).json,
  })
}
