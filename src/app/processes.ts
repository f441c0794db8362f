// The way into what only a server of several processes needs; one process does not even load it.
import type { PrimaryOptions, RunningPrimary } from './processes/primary.js'
import type { Primary, WorkerDuties } from './processes/worker.js'

export type { Primary, PrimaryOptions, RunningPrimary, WorkerDuties }

/**
 * Opens the data folder in this process and has `server.processes` others serve; resolves when all of them listen.
 * Throws STORE_FOLDER_LOCKED, PROCESS_PROJECT_NOT_PLAIN and what a worker fails with.
 */
export async function startPrimary(options: PrimaryOptions): Promise<RunningPrimary> {
  return (await import('./processes/primary.js')).startPrimary(options)
}

/** In a process that a primary has started: takes up the connection to it. */
export async function connectToPrimary(duties: WorkerDuties): Promise<Primary> {
  return (await import('./processes/worker.js')).connectToPrimary(duties)
}
