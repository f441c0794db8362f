// What lives in the data folder, behind the few questions an app asks of it: the registry's state, decisions and the log.
// Opened here, where the app runs in the same process; with several processes, workers reach the primary's instead.
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { type DecisionId, type Digest, type ModelName, type Platform, type Stop, versionKey } from '../core/index.js'
import {
  type Actor,
  type Change,
  createDecisions,
  type Decision,
  type Decisions,
  type Evidence,
} from '../decisions/index.js'
import { type FileLog, openLog, realFiles } from '../log/index.js'
import { breakerChangeKinds } from '../path/index.js'
import {
  type Pointer,
  readAliases,
  readPointers,
  readVersions,
  registryChangeKinds,
  registryMigrations,
} from '../registry/index.js'
import {
  type CacheSwitches,
  cacheMigrations,
  cacheSwitchKind,
  readCacheSwitches,
  type SharedTier,
} from '../serving/index.js'
import { lockFolder, openSql, StoreErrors } from '../store/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import { followFaults } from './chaos/chaos.js'
import { chaosChangeKinds } from './chaos/decisions.js'
import { faultyFiles, isDiskFull } from './chaos/disk.js'
import { Faults } from './chaos/faults.js'
import { logPolicyOf } from './endpoints.js'
import type { LoadedProject } from './load-project.js'

/** What the metadata store says about models and endpoints, as it is now. */
export interface RegistryState {
  /** Digests by `model/version`: what each number stands for. */
  readonly digests: ReadonlyMap<string, Digest>
  readonly aliases: readonly { readonly model: ModelName; readonly alias: string; readonly version: number }[]
  /** By endpoint. */
  readonly pointers: ReadonlyMap<string, Pointer>
  readonly cacheSwitches: CacheSwitches
}

/** The log as a running app uses it. What `append` returns is for `whenDurable` alone: a worker does not know positions yet. */
export type AppLog = Pick<FileLog, 'folder' | 'append' | 'whenDurable' | 'durableThrough' | 'subscribe' | 'flush'>

export interface Engines {
  readonly log: AppLog
  /** For reading, in any process; changes go through `decide` and `undo`. `watch` hears the decisions of every process. */
  readonly decisions: Omit<Decisions, 'apply' | 'undo'>
  registry(): RegistryState
  /** Makes a change. It has taken effect in every process, through `follow`, when it resolves. */
  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  undo(id: DecisionId, by: Actor): Promise<Decision>
  /** Records once what a version's number stands for. `file` is for people. Throws REGISTRY_DIGEST_CHANGED. */
  sawVersion(version: SeenVersion, file: string): Promise<void>
  /** Calls `change` when a decision has changed the registry's state; `decide` waits for it. */
  follow(change: (decision: Decision) => void | Promise<void>): Stop
  /** The server's other processes; undefined when this one is alone. */
  readonly peers: Peers | undefined
  /** Answers that the processes of this server share; undefined when there is one. Closed by the cache. */
  readonly tier?: SharedTier | undefined
  close(): Promise<void>
}

/** What a worker process knows and asks of the whole server. */
export interface Peers {
  /** Process id of the primary: the one that people see and stop. */
  readonly pid: number
  /** Worker processes. */
  readonly processes: number
  /** Which of them this one is, counted from 1. */
  readonly number: number
  /** Whether the models of every worker are warm. */
  areReady(): boolean
  /** Says whether this process's models are. */
  tellReady(isReady: boolean): void
  exposeMetrics(): Promise<string>
}

export type SeenVersion = Pick<VersionArtifact, 'ref' | 'digest' | 'sizeBytes'>

/** Where pushes are kept until they are whole. */
export function uploadsFolder({ dataDir }: LoadedProject): string {
  return path.join(dataDir, 'uploads')
}

/** Changes that nobody asked for by hand. */
const SYSTEM: Actor = { kind: 'system', name: 'headrace' }

/** Engines in this process. */
export interface OpenedEngines extends Engines {
  readonly log: FileLog
}

/**
 * Takes the data folder for this process and opens what is in it. Throws STORE_FOLDER_LOCKED. `faults` are those of an app in the
 * same process, which follows the decisions about them.
 */
export async function openEngines(project: LoadedProject, platform: Platform, faults?: Faults): Promise<OpenedEngines> {
  const { config, dataDir } = project
  const ownFaults = config.chaos.enabled && !faults ? new Faults(platform.clock, platform.logger) : undefined
  const disk = faults ?? ownFaults
  const lock = await lockFolder(dataDir)
  const closers: (() => Promise<void>)[] = [() => lock.release()]
  const close = async () => {
    for (const closer of closers.reverse()) await closer()
  }
  try {
    return await open()
  } catch (error) {
    await close()
    throw error
  }

  async function open(): Promise<OpenedEngines> {
    // What a server that was killed left behind; nobody else has the data folder now.
    await rm(uploadsFolder(project), { recursive: true, force: true })
    const file = path.join(dataDir, 'metadata.db')
    const sql = await openSql({ file, platform })
    closers.push(() => sql.close())
    const policy = logPolicyOf(config.endpoints)
    const files = disk ? faultyFiles(realFiles, disk) : realFiles
    const log = await openLog({ ...config.log, folder: path.join(dataDir, 'log'), platform, policy, files })
    closers.push(() => log.close())
    await sql.migrate('registry', registryMigrations)
    await sql.migrate('serving-cache', cacheMigrations)
    const decisions = await createDecisions({
      sql,
      platform,
      kinds: [...registryChangeKinds, cacheSwitchKind, ...breakerChangeKinds, ...chaosChangeKinds],
    })
    const digests = new Map((await readVersions(sql)).map((row) => [versionKey(row.ref), row.digest]))
    const readState = async (): Promise<RegistryState> => ({
      digests,
      aliases: await readAliases(sql),
      pointers: await readPointers(sql),
      cacheSwitches: await readCacheSwitches(sql),
    })
    let state = await readState()
    const followers = new Set<(decision: Decision) => void | Promise<void>>()
    const sightings = new Map<string, Promise<unknown>>()

    decisions.watch(({ id, timeMs, change, by }) =>
      log.append({
        kind: 'decision',
        id,
        timeMs,
        change: change.kind,
        subject: change.subject,
        by: `${by.kind}:${by.name}`,
      }),
    )

    /** Aliases, pointers and switches change only by decisions, and rarely: they are read again as a whole. */
    async function takeEffect(decision: Decision): Promise<Decision> {
      const { kind, subject, detail } = decision.change
      if (kind === 'version.seen') digests.set(subject, detail['digest'] as Digest)
      else state = await readState()
      await Promise.all([...followers].map((change) => change(decision)))
      return decision
    }

    /** What drills say about themselves is written all the same. */
    function checkDisk(kind = ''): void {
      if (disk && isDiskFull(disk) && !kind.startsWith('chaos.')) throw StoreErrors.FULL({ file })
    }

    async function decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision> {
      checkDisk(change.kind)
      return takeEffect(await decisions.apply(change, evidence, by))
    }

    if (ownFaults) followers.add((decision) => followFaults(ownFaults, decision))
    return {
      log,
      decisions,
      peers: undefined,
      registry: () => state,
      decide,
      async undo(id, by) {
        checkDisk()
        return takeEffect(await decisions.undo(id, by))
      },
      async sawVersion({ ref, digest, sizeBytes }, file) {
        const subject = versionKey(ref)
        await sightings.get(subject)?.catch(() => undefined)
        if (digests.get(subject) === digest) return
        const detail = { model: ref.model, version: ref.version, digest }
        const sighting = decide({ kind: 'version.seen', subject, detail }, { file, sizeBytes }, SYSTEM)
        sightings.set(subject, sighting)
        await sighting.finally(() => sightings.delete(subject))
      },
      follow(change) {
        followers.add(change)
        return () => followers.delete(change)
      },
      close,
    }
  }
}
