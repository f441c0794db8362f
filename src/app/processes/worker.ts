// A worker's side of the connection to its primary. Whoever starts the server in the worker uses it; nobody else needs it.
import process from 'node:process'
import { type Platform, toHeadraceError } from '../../core/index.js'
import type { Engines } from '../engines.js'
import type { LoadedProject } from '../load-project.js'
import { Channel } from './channel.js'
import type { PrimaryMethods, Welcome, WorkerMethods } from './protocol.js'
import { openWorkerEngines } from './worker-engines.js'

export interface Primary extends Welcome {
  /** `project`: with its definitions, which do not cross to other processes. */
  openEngines(platform: Platform, project: LoadedProject): Promise<Engines>
  /** It accepts connections. */
  listening(url: string, grpcAddress: string | undefined): void
  /** Its models are loaded. */
  loaded(): void
  /** It cannot serve: the server ends, or, for a replacement, another one is tried. */
  failed(error: unknown): void
  /** Asks for a replacement; `stop` is called when there is one. */
  retire(): void
}

/** What the primary asks of the worker's server. */
export interface WorkerDuties {
  stop(): void
  summary(): Promise<string>
}

/** Takes up the connection. From now on the process ends with the primary, whatever happens to that one. */
export async function connectToPrimary(duties: WorkerDuties): Promise<Primary> {
  // Before the handler that Node's cluster has set: it exits, which would wait for a model that hangs in its thread.
  process.prependListener('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  const local: Partial<WorkerMethods> = { ...duties }
  const wire = {
    send: (message: unknown) => void process.send?.(message),
    onMessage: (listener: (message: unknown) => void) => void process.on('message', listener),
    onClose: () => {},
  }
  const primary = new Channel<PrimaryMethods>(wire, local)
  const welcome = await primary.call('hello')
  return {
    ...welcome,
    openEngines: (platform, project) => openWorkerEngines(primary, local, { ...welcome, project }, platform),
    listening: (url, grpcAddress) => primary.tell('listening', url, grpcAddress),
    loaded: () => primary.tell('loaded'),
    failed: (error) => primary.tell('failed', toHeadraceError(error).toJSON()),
    retire: () => primary.tell('retire'),
  }
}
