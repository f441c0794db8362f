// Loads versions that other servers run, and keeps what they share: connections by host, and how much retrying a host is worth.
import { Agent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import { type Platform, versionKey } from '../../core/index.js'
import { RetryBudget } from '../../flow/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import type { Backend } from '../types.js'
import { RemoteBackend } from './backend.js'
import { Failures, RemoteFailure } from './failure.js'
import { type Environment, filledHeaders } from './headers.js'
import { HttpTransport } from './http-transport.js'
import { createRemoteMetrics, type RemoteMetrics } from './metrics.js'
import { signatureOf } from './signature.js'
import type { Transport, TransportOptions } from './transport.js'

export interface RemoteBackends {
  /** A BackendFactory. Rejects with the REMOTE_ codes of errors.ts. */
  load(artifact: VersionArtifact): Promise<Backend>
  close(): Promise<void>
}

export interface RemoteBackendsOptions {
  readonly platform: Platform
  /** What `${NAME}` in headers stands for. */
  readonly environment: Environment
}

/** Connections that are kept open while nothing happens, by host. */
const MAX_IDLE_SOCKETS = 64
/** Of the whole of a load. */
const LOAD_LIMIT_MS = 10_000

export function createRemoteBackends({ platform, environment }: RemoteBackendsOptions): RemoteBackends {
  const { clock, random, ids } = platform
  const agents = { keepAlive: true, maxFreeSockets: MAX_IDLE_SOCKETS, scheduling: 'lifo' } as const
  const plain = new Agent(agents)
  const secure = new SecureAgent(agents)
  const budgets = new Map<string, RetryBudget>()
  const bindMetrics = createRemoteMetrics(platform.metrics)

  function budgetOf(host: string): RetryBudget {
    let budget = budgets.get(host)
    if (budget === undefined) {
      budget = new RetryBudget({ clock })
      budgets.set(host, budget)
    }
    return budget
  }

  async function open(options: TransportOptions): Promise<Transport> {
    const { url } = options.remote
    if (url.startsWith('grpc')) {
      // Its messages are a third of a megabyte of code that most servers never need.
      const { GrpcTransport } = await import('./grpc-transport.js')
      return GrpcTransport.open(options)
    }
    return new HttpTransport({ ...options, agent: url.startsWith('https:') ? secure : plain })
  }

  return {
    async load({ ref, remote }) {
      const model = versionKey(ref)
      const { url, maxInFlight, timeoutMs, probeMs, binary } = remote!
      const failures = new Failures(model, url)
      const headers = filledHeaders(model, remote!.headers, environment)
      const transport = await open({ remote: remote!, headers, failures, clock })
      let metrics: RemoteMetrics | undefined
      try {
        await transport.ready(LOAD_LIMIT_MS)
        const description = await transport.describe(LOAD_LIMIT_MS)
        const signature = signatureOf(remote!, description)
        if (typeof signature === 'string') throw failures.signatureUnknown(signature)
        transport.expect(signature.outputs, binary ?? description.speaksBinary)
        metrics = bindMetrics(ref)
        return new RemoteBackend({
          model,
          signature,
          description,
          maxInFlight,
          maxRows: remote!.maxBatchSize ?? (description.maxBatchSize || undefined),
          timeoutMs,
          probeMs,
          transport,
          failures,
          budget: budgetOf(new URL(url).host),
          metrics,
          clock,
          random,
          ids,
        })
      } catch (failure) {
        transport.close()
        throw failure instanceof RemoteFailure ? failure.error : failure
      }
    },
    async close() {
      plain.destroy()
      secure.destroy()
    },
  }
}
