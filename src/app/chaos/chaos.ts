// Fault injection for tests and drills: what may be broken, for how long, and the record of it. Off unless the server was started
// for it; then the parts that faults reach are wrapped, and nowhere else is anything known of them.
import { isLoopback } from '../../access/index.js'
import type { Clock, ModelName, Platform } from '../../core/index.js'
import type { Actor, Decision } from '../../decisions/index.js'
import type { Pool } from '../../serving/index.js'
import type { Engines } from '../engines.js'
import type { ProjectConfig } from '../project.js'
import { ALL, describeFault, HEAL, healing, INJECT, injection, readInjection } from './decisions.js'
import { ChaosErrors } from './errors.js'
import { type ActiveFault, type Fault, Faults } from './faults.js'

export interface FaultView {
  readonly id: string
  readonly kind: Fault['kind']
  /** `delay fraud/2 by 300 ms` */
  readonly summary: string
  readonly startedAt: string
  readonly endsAt: string
}

export interface Chaos {
  /** Throws CHAOS_DURATION, CHAOS_NOT_POSSIBLE, and what resolving a model throws. */
  inject(fault: Fault, durationMs: number | undefined, by: Actor): Promise<FaultView>
  list(): FaultView[]
  /** Ends one fault, or all of them; says how many. Throws CHAOS_FAULT_NOT_FOUND. */
  heal(id: string | undefined, by: Actor): Promise<number>
}

export interface ChaosParts {
  readonly clock: Clock
  readonly config: ProjectConfig
  readonly faults: Faults
  readonly engines: Engines
  readonly pool: Pool
  /** Ends a thread or a process that runs a version; false when none does. */
  readonly kill: (model: string, version: number | undefined) => boolean
  readonly hasRedis: boolean
}

const DEFAULT_DURATION_MS = 30_000
/** Of what cannot be killed. */
const WHERE = { inline: 'in the main thread', remote: 'on another server', steps: 'in its steps' } as const
/** A process that is to die answers first. */
const DEATH_AFTER_MS = 100

/** Throws CHAOS_NOT_LOOPBACK. */
export function checkChaos({ server, chaos }: ProjectConfig): void {
  if (chaos.enabled && !isLoopback(server.host)) throw ChaosErrors.NOT_LOOPBACK({ host: server.host })
}

/** What the faults of this process are kept in; undefined for a server that takes none. */
export function createFaults({ chaos }: ProjectConfig, { clock, logger }: Platform): Faults | undefined {
  return chaos.enabled ? new Faults(clock, logger) : undefined
}

/** Starts and ends, in this process, the faults that decisions speak of. */
export function followFaults(faults: Faults, { change, id }: Decision): void {
  if (change.kind === INJECT) {
    const { fault, durationMs } = readInjection(change)
    if (fault.kind !== 'kill') faults.start(id, fault, durationMs)
  } else if (change.kind === HEAL) {
    if (change.detail['id'] === ALL) faults.endAll()
    else faults.end(String(change.detail['id']))
  }
}

export function createChaos({ clock, config, faults, engines, pool, kill, hasRedis }: ChaosParts): Chaos {
  const { maxDurationMs } = config.chaos

  engines.follow((decision) => {
    if (decision.change.kind !== INJECT) return
    const { fault } = readInjection(decision.change)
    if (fault.kind !== 'kill' || fault.pid !== process.pid) return
    if (fault.what === 'thread') kill(fault.model!, fault.version ?? undefined)
    else clock.after(DEATH_AFTER_MS, () => process.kill(process.pid, 'SIGKILL'))
  })

  /** What can be told beforehand. */
  function check(fault: Fault): void {
    if ('model' in fault && fault.model !== null) pool.resolve(fault.model as ModelName, fault.version ?? 'latest')
    if (fault.kind === 'redis' && !hasRedis)
      throw ChaosErrors.NOT_POSSIBLE({ fault: 'redis', reason: 'the server uses no Redis (REDIS_URL)' })
    if (fault.kind === 'clock-skew' && fault.clock === 'monotonic' && fault.ms < 0)
      throw ChaosErrors.NOT_POSSIBLE({ fault: 'clock-skew', reason: 'the monotonic clock never goes back' })
    if (fault.kind !== 'kill') return
    if (fault.what === 'worker' && engines.peers === undefined)
      throw ChaosErrors.NOT_POSSIBLE({
        fault: 'kill',
        reason: 'the server is one process, whose end nobody would see to; start it with --processes 2 or more',
      })
    if (fault.what === 'thread') {
      const { isolation } = pool.resolve(fault.model as ModelName, fault.version ?? 'latest')
      if (isolation !== 'thread' && isolation !== 'process')
        throw ChaosErrors.NOT_POSSIBLE({
          fault: 'kill',
          reason: `${fault.model} has no thread or process of its own here, it runs ${WHERE[isolation]}; "isolation": "thread" or "process" in model.json gives it one`,
        })
    }
  }

  return {
    async inject(fault, durationMs = DEFAULT_DURATION_MS, by) {
      if (!(durationMs >= 1 && durationMs <= maxDurationMs)) throw ChaosErrors.DURATION({ durationMs, maxDurationMs })
      check(fault)
      const decision = await engines.decide(injection(fault, durationMs), { pid: process.pid }, by)
      const { id, timeMs } = decision
      return viewOf({ id, fault, startedMs: timeMs, endsMs: timeMs + (fault.kind === 'kill' ? 0 : durationMs) })
    },
    list: () => faults.list().map(viewOf),
    async heal(id, by) {
      const active = faults.list().map((fault) => fault.id)
      if (id !== undefined && !active.includes(id)) throw ChaosErrors.FAULT_NOT_FOUND({ id, active })
      await engines.decide(healing(id ?? ALL), {}, by)
      return id === undefined ? active.length : 1
    },
  }
}

function viewOf({ id, fault, startedMs, endsMs }: ActiveFault): FaultView {
  return {
    id,
    kind: fault.kind,
    summary: describeFault(fault),
    startedAt: new Date(startedMs).toISOString(),
    endsAt: new Date(endsMs).toISOString(),
  }
}
