// The whole configuration: each domain brings the schema of its section, this file puts them together.
import { z } from 'zod'
import { accessSection } from '../access/index.js'
import { isName } from '../core/index.js'
import { featuresSection } from '../features/index.js'
import { logSection } from '../log/index.js'
import { endpointSchema } from '../path/index.js'
import { modelsSection, registrySection } from '../registry/index.js'
import { datasetsSection, gatesSchema, plansSection, releaseSection } from '../release/index.js'
import { servingSection } from '../serving/index.js'
import { storeSection } from '../store/index.js'
import { chaosSection } from './chaos/config.js'

const port = z.int().min(0).max(65_535)

export const serverSection = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('Address to listen on; anything but loopback needs keys, or insecure'),
    port: port.default(8080).describe('HTTP port; 0 takes any free one'),
    processes: z
      .int()
      .min(1)
      .max(256)
      .default(1)
      .describe('Processes that serve the port; with more than one, another process owns the data folder'),
    grpcPort: z
      .union([port, z.literal(false)])
      .optional()
      .describe(
        'gRPC port; 0 takes any free one, false serves no gRPC. Default: the one after the HTTP port, or any free one beside an HTTP port of 0',
      ),
    maxGrpcStreams: z
      .int()
      .positive()
      .default(16_384)
      .describe('gRPC calls open at once, idle streams among them; beyond it the stream idle for longest is ended'),
    insecure: z.boolean().default(false).describe('Listen beyond loopback although callers are not authenticated'),
    bodyLimitBytes: z
      .int()
      .positive()
      .default(64 * 1024 * 1024)
      .describe('Largest request body; larger ones get 413 before they are buffered'),
    maxConnections: z
      .int()
      .positive()
      .default(10_000)
      .describe('Open connections; further ones are closed at once and counted'),
    maxInFlight: z
      .int()
      .positive()
      .default(4096)
      .describe(
        'Predictions in flight at once; beyond it, and for normal and low priority beyond 90 and 75 % of it, the caller gets 429',
      ),
    maxBufferedBytes: z
      .int()
      .positive()
      .default(256 * 1024 * 1024)
      .describe(
        'Bytes of request bodies held at once over all connections; beyond it the caller gets 429. Bodies over 128 KiB leave an eighth of it to smaller ones',
      ),
    headersTimeoutMs: z.int().positive().default(10_000).describe('Time for a client to send its headers'),
    requestTimeoutMs: z.int().positive().default(60_000).describe('Time for a client to send its whole request'),
    drainMs: z.int().positive().default(20_000).describe('On SIGTERM: longest wait for requests in flight'),
    tritonMetrics: z
      .boolean()
      .default(false)
      .describe("Give out Triton's metrics of models (nv_inference_… and nv_cache_…) beside our own"),
    logLevel: z
      .enum(['debug', 'info', 'warn', 'error', 'silent'])
      .default('info')
      .describe('Lowest level of the server log'),
  })
  .prefault({})
  .describe('What the server listens on, and its limits.')

/** The port to serve gRPC on, 0 for any; undefined when it is not to be served. */
export function grpcPortOf({ port, grpcPort }: z.output<typeof serverSection>): number | undefined {
  if (grpcPort === undefined) return port === 0 ? 0 : Math.min(port + 1, 65_535)
  return grpcPort === false ? undefined : grpcPort
}

export const projectSchema = z.strictObject({
  name: z
    .string()
    .refine(isName, 'must be letters, digits, ".", "_" or "-", at most 128')
    .optional()
    .describe('Name of the project'),
  server: serverSection,
  models: modelsSection,
  registry: registrySection,
  serving: servingSection,
  endpoints: z
    .record(
      z.string().refine(isName, 'endpoint names are letters, digits, ".", "_" or "-", at most 128'),
      endpointSchema.extend({ gates: gatesSchema.optional(), release: releaseSection }),
    )
    .default({})
    .describe('Endpoints by name. Every model has one of its own name without being listed here.'),
  datasets: datasetsSection,
  plans: plansSection,
  features: featuresSection.prefault({}),
  log: logSection,
  store: storeSection.prefault({}),
  access: accessSection,
  chaos: chaosSection,
})

/** What a project may write. */
export type ProjectInput = z.input<typeof projectSchema>
/** The same with every default filled in. */
export type ProjectConfig = z.output<typeof projectSchema>

/**
 * Types a project's configuration; `headrace.config.ts` exports its result. It is checked when the server loads it.
 *
 * @example
 * export default defineProject({ endpoints: { fraud: { route: version('fraud', 2) } } })
 */
export function defineProject(project: ProjectInput): ProjectInput {
  return project
}
