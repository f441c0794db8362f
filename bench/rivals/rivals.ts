// How each rival is started, in the variants that its documentation offers for speed; the fastest of them is measured.
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const INPUTS: readonly (readonly number[])[] = [
  Array.from({ length: 16 }, (_, i) => i),
  Array.from({ length: 16 }, (_, i) => 3 * i - 20),
]
/** The sums, then the differences. */
export type Outputs = readonly [readonly number[], readonly number[]]

export interface Protocol {
  readonly path: string
  readonly body: string
  readonly outputs: (answer: unknown) => Outputs
}

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

export interface Variant {
  readonly what: string
  /** `folder` is empty and the server's own. */
  readonly command: (at: { readonly bin: string; readonly port: number; readonly folder: string }) => Command
}

export interface Rival {
  readonly name: string
  /** Of its requirements and environment. */
  readonly key: string
  readonly protocol: Protocol
  readonly variants: readonly Variant[]
}

const SERVERS = fileURLToPath(new URL('servers', import.meta.url))

export const V2: Protocol = {
  path: '/v2/models/simple/infer',
  body: JSON.stringify({
    inputs: INPUTS.map((data, i) => ({ name: `INPUT${i}`, shape: [1, 16], datatype: 'INT32', data })),
  }),
  outputs(answer) {
    const { outputs } = answer as { outputs: { name: string; data: number[] }[] }
    const of = (name: string): number[] => outputs.find((output) => output.name === name)!.data
    return [of('OUTPUT0'), of('OUTPUT1')]
  },
}

/** One argument of shape [rows, 2, 16], which is the JSON that a batchable API of BentoML takes. */
const BENTOML: Protocol = {
  path: '/infer',
  body: JSON.stringify({ inputs: [INPUTS] }),
  outputs: (answer) => (answer as [Outputs])[0],
}

export const RIVALS: readonly Rival[] = [
  {
    name: 'FastAPI',
    key: 'fastapi',
    protocol: V2,
    variants: [
      {
        what: 'uvicorn, 1 worker, uvloop, httptools, orjson',
        command: ({ bin, port }) => ({
          program: `${bin}/uvicorn`,
          args: [
            ...['fastapi_app:app', '--app-dir', SERVERS, '--host', '127.0.0.1', '--port', String(port)],
            ...['--loop', 'uvloop', '--http', 'httptools', '--no-access-log', '--log-level', 'error'],
          ],
          environment: {},
        }),
      },
    ],
  },
  {
    name: 'MLServer',
    key: 'mlserver',
    protocol: V2,
    variants: [mlserver(0, 0), mlserver(0, 16), mlserver(1, 0), mlserver(1, 16)],
  },
  {
    name: 'LitServe',
    key: 'litserve',
    protocol: V2,
    variants: [litserve(1, 0), litserve(16, 0), litserve(1, 1), litserve(16, 1)],
  },
  { name: 'BentoML', key: 'bentoml', protocol: BENTOML, variants: [bentoml(0), bentoml(1)] },
  { name: 'Ray Serve', key: 'ray', protocol: V2, variants: [ray(1, 0), ray(16, 0), ray(1, 1), ray(16, 1)] },
]

function mlserver(workers: number, batch: number): Variant {
  return {
    what: `${workers === 0 ? 'in the main process' : '1 parallel worker'}, ${batch === 0 ? 'no batching' : `adaptive batching to ${batch}`}`,
    command({ bin, port, folder }) {
      const model = `${folder}/simple`
      mkdirSync(model)
      writeFileSync(
        `${folder}/settings.json`,
        JSON.stringify({
          debug: false,
          host: '127.0.0.1',
          http_port: port,
          grpc_port: port + 1,
          metrics_endpoint: null,
          parallel_workers: workers,
        }),
      )
      writeFileSync(
        `${model}/model-settings.json`,
        JSON.stringify({
          name: 'simple',
          implementation: 'runtime.Simple',
          ...(batch > 0 ? { max_batch_size: batch, max_batch_time: 0.001 } : {}),
        }),
      )
      return {
        program: `${bin}/mlserver`,
        args: ['start', folder],
        environment: { PYTHONPATH: `${SERVERS}:${SERVERS}/mlserver` },
      }
    },
  }
}

function litserve(batch: number, fastQueue: 0 | 1): Variant {
  return {
    what: `1 worker, ${batch === 1 ? 'no batching' : `batches to ${batch}`}${fastQueue ? ', fast queue' : ''}`,
    command: ({ bin, port }) => ({
      program: `${bin}/python`,
      args: [`${SERVERS}/litserve_app.py`, String(port), String(batch), String(fastQueue)],
      environment: {},
    }),
  }
}

function bentoml(batchable: 0 | 1): Variant {
  return {
    what: `1 worker, ${batchable ? 'adaptive batching' : 'no batching'}`,
    command: ({ bin, port, folder }) => ({
      program: `${bin}/bentoml`,
      args: [
        ...['serve', 'bentoml_service:Simple', '--working-dir', SERVERS, '--host', '127.0.0.1', '--port', String(port)],
        '--quiet',
      ],
      environment: { RIVAL_BATCHABLE: String(batchable), BENTOML_HOME: folder, BENTOML_DO_NOT_TRACK: 'True' },
    }),
  }
}

function ray(batch: number, throughput: 0 | 1): Variant {
  return {
    what: `1 replica, ${batch === 1 ? 'no batching' : `batches to ${batch}`}${throughput ? ', optimised for throughput' : ''}`,
    command: ({ bin, port }) => ({
      program: `${bin}/python`,
      args: [`${SERVERS}/ray_app.py`, String(port), String(batch)],
      environment: {
        RAY_USAGE_STATS_ENABLED: '0',
        RAY_SERVE_THROUGHPUT_OPTIMIZED: String(throughput),
        PYTHONPATH: SERVERS,
      },
    }),
  }
}
