// What goes wrong, one thing after another. Each act lasts a share of the demo, and what it broke is healed when it ends.

export interface Act {
  readonly name: string
  readonly faults: readonly Fault[]
}

/** `POST /api/v1/chaos/<path>` with this body. */
export interface Fault {
  readonly path: string
  readonly body: object
}

export interface ActsOptions {
  /** Several processes, so one can be killed. */
  readonly hasWorkers: boolean
  readonly hasRedis: boolean
}

export function createActs({ hasWorkers, hasRedis }: ActsOptions): readonly Act[] {
  const trees = { model: 'fraud', version: 2 }
  const regression = { model: 'fraud', version: 1 }
  // Each lets the one before heal: a circuit that has opened closes by itself within seconds.
  const acts: Act[] = [
    act('nothing is wrong'),
    act('fraud/2 takes 400 ms longer', { path: 'delay', body: { ...trees, ms: 400 } }),
    act('the ranking fails', { path: 'error', body: { model: 'product-ranking' } }),
    act('fraud/2 fails every time', { path: 'error', body: trees }),
    act('the disk is full', { path: 'disk-full', body: {} }),
    act('fraud/2 hangs', { path: 'hang', body: trees }),
  ]
  if (hasWorkers) acts.push(act('a worker process is killed', { path: 'kill/worker', body: {} }))
  acts.push(act('fraud/2 hangs and fraud/1 fails', { path: 'hang', body: trees }, { path: 'error', body: regression }))
  if (hasRedis) acts.push(act('Redis is gone', { path: 'redis', body: { mode: 'drop' } }))
  return [...acts, act('everything is well again')]
}

function act(name: string, ...faults: Fault[]): Act {
  return { name, faults }
}
