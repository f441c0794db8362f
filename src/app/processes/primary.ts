// The process that owns the data folder when several serve: the engines live here, workers reach them by IPC. It serves no
// requests itself, so whatever requests do to a worker, decisions and the log go on.
import {
  deserializeError,
  HeadraceError,
  type MetricsSnapshot,
  type Platform,
  type SerializedError,
  type Timer,
} from '../../core/index.js'
import type { Decision } from '../../decisions/index.js'
import { FeatureErrors, projectFingerprint } from '../../features/index.js'
import { type CacheHub, createCacheHub } from '../../serving/index.js'
import { createFaults } from '../chaos/chaos.js'
import { answerOperation } from '../features/remote-features.js'
import type { LoadedProject } from '../load-project.js'
import { type OpenedEngines, openEngines } from '../open-engines.js'
import { isRegisteredChange } from '../registry/open-registry.js'
import { modelOfDecision } from '../repository/decisions.js'
import type { ModelStatistics } from '../repository/types.js'
import { answerService } from '../services.js'
import { Channel } from './channel.js'
import { Gathering } from './gathering.js'
import { GroupMetrics } from './group-metrics.js'
import { GroupStatistics } from './group-statistics.js'
import type { PrimaryMethods, WorkerMethods } from './protocol.js'
import { shareOf } from './share.js'
import { type WorkerProcess, Workers } from './workers.js'

export interface PrimaryOptions {
  readonly project: LoadedProject
  readonly platform: Platform
  /** The script of a worker and its arguments. */
  readonly script: string
  readonly args: readonly string[]
}

export interface RunningPrimary {
  readonly url: string
  readonly grpcAddress: string | undefined
  /** Resolves when the models of every worker are loaded; rejects with the error of the first that cannot. */
  loaded(): Promise<void>
  isReady(): boolean
  /** What is served, for a person. */
  summary(): Promise<string>
  /** Has every worker finish what is in flight, flushes the log and lets go of the data folder. */
  close(): Promise<void>
}

/** A worker that has not let a decision take effect by now is of no use, and may answer by the old one: it is ended. */
const DECISION_LIMIT_MS = 5_000
/** A model that is loaded or unloaded by a decision takes as long as it takes. */
const LOAD_LIMIT_MS = 600_000
/** For what a worker that is busy may miss. */
const ASK_LIMIT_MS = 1_000
/** A worker drains connections, then predictions, each for `drainMs`, and then closes its backends. */
const CLOSE_SLACK_MS = 15_000

interface Member {
  readonly process: WorkerProcess
  readonly channel: Channel<WorkerMethods>
  /** Before that it hears nothing: Node's cluster lets messages go that come before anybody listens. */
  hasGreeted: boolean
  hasJoined: boolean
  /** Accepts connections. */
  isListening: boolean
  isReady: boolean
  /** The process that makes room for this one. */
  readonly replaces: Member | undefined
  /** Until when it has to end, once it was asked to. */
  limit: Timer | undefined
}

/**
 * Opens the data folder and starts `server.processes` workers; resolves when all of them listen.
 * Throws STORE_FOLDER_LOCKED, PROCESS_PROJECT_NOT_PLAIN and what a worker fails with.
 */
export async function startPrimary(options: PrimaryOptions): Promise<RunningPrimary> {
  const project = await shareOf(options.project)
  const { features } = options.project
  const engines = await openEngines(
    { ...project, features },
    options.platform,
    createFaults(project.config, options.platform),
  )
  const primary = new PrimaryProcess({ ...options, project }, engines, features && projectFingerprint(features))
  try {
    await Promise.all([primary.start(), engines.features?.start()])
  } catch (error) {
    await primary.close()
    throw error
  }
  return primary
}

class PrimaryProcess implements RunningPrimary {
  url = ''
  grpcAddress: string | undefined = undefined
  readonly #workers: Workers
  readonly #members = new Map<number, Set<Member>>()
  readonly #metrics: GroupMetrics
  readonly #statistics = new GroupStatistics()
  readonly #cache: CacheHub
  readonly #count: number
  readonly #listening = new Gathering()
  readonly #loaded = new Gathering()
  readonly #retiring = new Map<number, Member>()
  #wereReady = false
  #toldReady = false
  #isStopping = false
  #closed: Promise<void> | undefined

  constructor(
    private readonly options: PrimaryOptions,
    private readonly engines: OpenedEngines,
    private readonly featuresFingerprint: string | undefined,
  ) {
    const { platform, project, script, args } = options
    const { clock, random, logger, metrics } = platform
    this.#count = project.config.server.processes
    this.#metrics = new GroupMetrics(metrics)
    this.#cache = createCacheHub({ clock, maxBytes: project.config.serving.cache.sharedMaxBytes })
    this.#workers = new Workers({ clock, random, logger, script, args, onStart: (worker) => this.#add(worker) })
    engines.follow((decision) => this.#spread(decision))
    engines.features?.tables.watch(() => this.#featureTablesChanged())
    engines.log.onCommit(() => {
      const position = engines.log.durableThrough()
      for (const { channel } of this.#joined()) channel.tell('committed', position)
    })
  }

  async start(): Promise<void> {
    for (let number = 1; number <= this.#count; number++) this.#workers.start(number, false)
    await this.#listening.all(this.#count)
  }

  loaded(): Promise<void> {
    return this.#loaded.all(this.#count)
  }

  isReady(): boolean {
    if (this.#isStopping) return false
    const listening = this.#listeners()
    this.#wereReady ||= listening.filter(({ isReady }) => isReady).length >= this.#count
    return this.#wereReady && listening.length > 0 && listening.every(({ isReady }) => isReady)
  }

  async summary(): Promise<string> {
    const [worker] = this.#listeners()
    return worker ? worker.channel.call('summary') : ''
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#isStopping = true
    this.#tellReadiness()
    for (const member of this.#all()) this.#stop(member)
    await this.#workers.stop()
    this.#cache.close()
    await this.engines.close()
  }

  #add(process: WorkerProcess): () => void {
    const { number, isReplacement } = process
    const place = this.#members.get(number) ?? new Set<Member>()
    const member: Member = {
      process,
      channel: new Channel<WorkerMethods>(
        process.wire,
        this.#methods(() => member),
      ),
      hasGreeted: false,
      hasJoined: false,
      isListening: false,
      isReady: false,
      replaces: this.#retiring.get(number),
      limit: undefined,
    }
    this.#members.set(number, place.add(member))
    if (isReplacement) this.#metrics.restarted()
    if (this.#isStopping) process.kill()
    return () => {
      place.delete(member)
      member.limit?.cancel()
      if (this.#retiring.get(number) === member) this.#retiring.delete(number)
      this.#metrics.forget(member)
      this.#statistics.forget(member)
      this.#cache.leaderGone(process.pid)
      this.engines.heardReport(process.pid, undefined)
      this.#tellReadiness()
    }
  }

  /** What one worker may ask for. */
  #methods(memberOf: () => Member): PrimaryMethods {
    const { engines } = this
    const { decisions, log } = engines
    return {
      hello: () => {
        const member = memberOf()
        member.hasGreeted = true
        const { number, isReplacement } = member.process
        const { featuresFingerprint } = this
        const { nodeId } = engines
        return { project: this.options.project, featuresFingerprint, number, nodeId, isReplacement, pid: process.pid }
      },
      join: () => {
        const member = memberOf()
        member.hasJoined = true
        const durableThrough = log.durableThrough()
        const faults = engines.faults?.list() ?? []
        member.channel.tell('joined', {
          areReady: this.isReady(),
          registry: engines.registry(),
          durableThrough,
          faults,
          featureTables: engines.features?.tables.state(),
        })
      },
      listening: (url, grpcAddress) => {
        this.url = url
        this.grpcAddress = grpcAddress
        const member = memberOf()
        member.isListening = true
        this.#tellReadiness()
        this.#listening.one(member.process.number)
        if (member.replaces) this.#stop(member.replaces)
      },
      loaded: () => {
        this.#loaded.one(memberOf().process.number)
      },
      failed: (error) => this.#fail(memberOf(), error),
      retire: () => this.#retire(memberOf()),
      leaving: (snapshot, statistics) => this.#saw(memberOf(), snapshot, statistics),
      tellReady: (isReady) => {
        memberOf().isReady = isReady
        this.#tellReadiness()
      },
      exposeMetrics: () => this.#exposeMetrics(),
      gatherStatistics: () => this.#gatherStatistics(),
      decide: (change, evidence, by) => engines.decide(change, evidence, by),
      undo: (id, by) => engines.undo(id, by),
      sawVersion: (version, file) => engines.sawVersion(version, file),
      getDecision: (id) => decisions.get(id),
      listDecisions: (query) => decisions.list(query),
      explainDecision: (id) => decisions.explain(id),
      verifyDecisions: () => decisions.verify(),
      takeLog: (batch) => log.take(batch),
      whenDurable: (position) => log.whenDurable(position),
      askCache: (key, waitMs) => new Promise((reply) => this.#cache.lookup(memberOf().process.pid, key, waitMs, reply)),
      // Copies, because what arrives is a part of the whole message that it came in.
      publishToCache: (lease, bytes, ttlMs) => this.#cache.publish(lease, bytes && new Uint8Array(bytes), ttlMs),
      storeInCache: (key, bytes, ttlMs) => this.#cache.store(key, new Uint8Array(bytes), ttlMs),
      readFeatures: async (request) => {
        if (engines.features === undefined) throw FeatureErrors.NONE_DEFINED()
        return engines.features.answerReads(request)
      },
      askFeatures: (operation, args) => answerOperation(engines.features, operation, args),
      reportNode: (parts) => {
        const { pid, number } = memberOf().process
        if (this.#members.get(number)?.has(memberOf())) engines.heardReport(pid, parts)
      },
      storeAgeMs: () => this.options.platform.clock.monotonicMs() - engines.storeConfirmedMs(),
      askService: (service, operation, args) => answerService(engines.services, service, operation, args),
      flushLog: async () => {
        await Promise.all(this.#joined().map(({ channel }) => this.#ask(channel.call('handOverLog'), ASK_LIMIT_MS)))
        await log.flush()
      },
    }
  }

  /** A decision, or an undo of one, takes effect in every worker before it is answered. */
  async #spread(decision: Decision): Promise<void> {
    const { digests: _, registered, ...state } = this.engines.registry()
    const { kind, subject } = decision.change
    const servable = isRegisteredChange(kind) ? (registered.get(subject) ?? null) : undefined
    const { logger } = this.options.platform
    const limitMs = modelOfDecision(decision.change) === undefined ? DECISION_LIMIT_MS : LOAD_LIMIT_MS
    await Promise.all(
      this.#joined().map(async ({ channel, process }) => {
        const taken = await this.#ask(channel.call('changed', decision, state, servable), limitMs)
        if (taken === 'answered') return
        const fields = { worker: process.number, process: process.pid, decision: decision.id }
        if (taken === 'late') {
          logger.error(fields, 'a worker did not take a decision over in time and is ended')
          process.kill()
        } else if (!isGone(taken.error)) {
          // What one cannot do, no other will: to end them all would help nobody.
          logger.error({ ...fields, err: taken.error }, 'a worker could not take a decision over')
        }
      }),
    )
  }

  #fail({ process }: Member, serialized: SerializedError): void {
    const error = deserializeError(serialized)
    const { number, pid, isReplacement } = process
    if (isReplacement) {
      this.options.platform.logger.error({ worker: number, process: pid, err: error }, error.message)
      process.kill()
    } else {
      this.#listening.fail(error)
      this.#loaded.fail(error)
    }
  }

  /** A worker was asked to end, by an operator or by the system: another takes its place first. */
  #retire(member: Member): void {
    const { number, pid } = member.process
    if (this.#isStopping || this.#retiring.has(number)) return
    this.options.platform.logger.info({ worker: number, process: pid }, 'a worker process is being replaced')
    member.process.release()
    this.#retiring.set(number, member)
    this.#workers.start(number, true)
  }

  #stop(member: Member): void {
    member.isListening = false
    if (member.hasGreeted) member.channel.tell('stop')
    else member.process.kill()
    const { clock, logger } = this.options.platform
    member.limit ??= clock.after(2 * this.options.project.config.server.drainMs + CLOSE_SLACK_MS, () => {
      const { number, pid } = member.process
      logger.warn({ worker: number, process: pid }, 'a worker process did not end in time and is killed')
      member.process.kill()
    })
  }

  #saw(member: Member, snapshot: MetricsSnapshot, statistics: ModelStatistics[]): void {
    // What comes after its end would be counted for ever, beside what it had counted before.
    if (!this.#members.get(member.process.number)?.has(member)) return
    this.#metrics.saw(member, snapshot)
    this.#statistics.saw(member, statistics)
  }

  async #gatherStatistics(): Promise<ModelStatistics[]> {
    await Promise.all(
      this.#joined().map(async (member) => {
        const counts: Promise<ModelStatistics[]> = member.channel.call('statistics')
        await this.#ask(
          counts.then((taken) => this.#statistics.saw(member, taken)),
          ASK_LIMIT_MS,
        )
      }),
    )
    return this.#statistics.sum()
  }

  async #exposeMetrics(): Promise<string> {
    const joined = this.#joined()
    await Promise.all(
      joined.map(async (member) => {
        const snapshot: Promise<MetricsSnapshot> = member.channel.call('metrics')
        await this.#ask(
          snapshot.then((taken) => this.#metrics.saw(member, taken)),
          ASK_LIMIT_MS,
        )
      }),
    )
    return this.#metrics.expose(this.#listeners().length)
  }

  #featureTablesChanged(): void {
    const { features } = this.engines
    if (features === undefined) return
    const state = features.tables.state()
    for (const { channel } of this.#joined()) channel.tell('featureTables', state)
  }

  #tellReadiness(): void {
    const isReady = this.isReady()
    if (isReady === this.#toldReady) return
    this.#toldReady = isReady
    for (const { channel } of this.#joined()) channel.tell('areReady', isReady)
  }

  /** Resolves with what became of it in time. */
  #ask(answer: Promise<unknown>, limitMs: number): Promise<'answered' | 'late' | { readonly error: unknown }> {
    return new Promise((resolve) => {
      const timer = this.options.platform.clock.after(limitMs, () => resolve('late'))
      answer.then(
        () => {
          timer.cancel()
          resolve('answered')
        },
        (error: unknown) => {
          timer.cancel()
          resolve({ error })
        },
      )
    })
  }

  #all(): Member[] {
    return [...this.#members.values()].flatMap((place) => [...place])
  }

  #joined(): Member[] {
    return this.#all().filter(({ hasJoined }) => hasJoined)
  }

  #listeners(): Member[] {
    return this.#all().filter(({ isListening }) => isListening)
  }
}

/** A worker that ended meanwhile serves by no decision, old or new. */
function isGone(error: unknown): boolean {
  return error instanceof HeadraceError && error.code === 'PROCESS_GONE'
}
