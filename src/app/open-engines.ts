// Opens the engines of a data folder in this process: the app's own, or the primary's of several.
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { accessMigrations, type Fingerprint, keyChangeKinds, readKeys } from '../access/index.js'
import { type DecisionId, type Digest, type Platform, type Stop, versionKey } from '../core/index.js'
import { type Actor, type Change, createDecisions, type Decision, type Evidence } from '../decisions/index.js'
import type { FeatureStore } from '../features/index.js'
import { type FileLog, openLog, realFiles } from '../log/index.js'
import { breakerChangeKinds } from '../path/index.js'
import {
  createRegisteredChanges,
  readAliases,
  readPointers,
  readServable,
  readServableOne,
  readVersions,
  registryChangeKinds,
  registryMigrations,
} from '../registry/index.js'
import { gateChangeKinds } from '../release/index.js'
import { cacheMigrations, cacheSwitchKind, readCacheSwitches } from '../serving/index.js'
import { createDiskBlobs, lockFolder, openSql, StoreErrors } from '../store/index.js'
import { openAccess } from './access/open-access.js'
import { followFaults } from './chaos/chaos.js'
import { chaosChangeKinds } from './chaos/decisions.js'
import { faultyFiles, isDiskFull } from './chaos/disk.js'
import type { Faults } from './chaos/faults.js'
import { blobsFolder, uploadsFolder } from './data-folder.js'
import { logPolicyOf } from './endpoints.js'
import type { Engines, RegistryState } from './engines.js'
import type { Features } from './features/features.js'
import { openFeatures } from './features/open-features.js'
import { featureSwitchKind, isSwitch, switching } from './features/switch-decision.js'
import { openGates } from './gates/open-gates.js'
import { openLive } from './live/open-live.js'
import type { LoadedProject } from './load-project.js'
import { readNodeId } from './nodes/node-id.js'
import { isRegisteredChange, openRegistry } from './registry/open-registry.js'
import { readRepository, repositoryChangeKinds, repositoryMigrations } from './repository/decisions.js'
import type { ServiceContext } from './service-context.js'
import type { Services } from './services.js'
import { Sightings } from './sightings.js'
import { openTracking } from './tracking/open-tracking.js'

/** Changes that nobody asked for by hand. */
const SYSTEM: Actor = { kind: 'system', name: 'headrace' }

/** Engines in this process. */
export interface OpenedEngines extends Engines {
  readonly log: FileLog
  /** With the store itself: workers read through it. */
  readonly features: (Features & FeatureStore) | undefined
}

/** Takes the data folder for this process and opens what is in it. Throws STORE_FOLDER_LOCKED. */
export async function openEngines(project: LoadedProject, platform: Platform, faults?: Faults): Promise<OpenedEngines> {
  const { config, dataDir } = project
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
    const nodeId = await readNodeId(dataDir, platform)
    const blobs = await createDiskBlobs(blobsFolder(project), platform)
    const policy = logPolicyOf(config.endpoints)
    const files = faults ? faultyFiles(realFiles, faults) : realFiles
    const log = await openLog({ ...config.log, folder: path.join(dataDir, 'log'), platform, policy, files })
    closers.push(() => log.close())
    await sql.migrate('registry', registryMigrations)
    await sql.migrate('serving-cache', cacheMigrations)
    await sql.migrate('repository', repositoryMigrations)
    await sql.migrate('access', accessMigrations)
    const pendingKeys = new Map<string, Fingerprint>()
    const registeredChanges = createRegisteredChanges(() => platform.clock.nowMs())
    const decisions = await createDecisions({
      sql,
      platform,
      kinds: [
        ...registryChangeKinds,
        ...registeredChanges.kinds,
        ...repositoryChangeKinds,
        cacheSwitchKind,
        ...breakerChangeKinds,
        ...chaosChangeKinds,
        featureSwitchKind(platform),
        ...keyChangeKinds({ clock: platform.clock, pending: pendingKeys, hasIssuers: config.access.jwt.length > 0 }),
        ...gateChangeKinds,
      ],
    })
    const digests = new Map((await readVersions(sql)).map((row) => [versionKey(row.ref), row.digest]))
    const registered = await readServable(sql)
    const readState = async (): Promise<RegistryState> => ({
      digests,
      registered,
      aliases: await readAliases(sql),
      pointers: await readPointers(sql),
      cacheSwitches: await readCacheSwitches(sql),
      repository: await readRepository(sql),
      keys: await readKeys(sql),
    })
    let state = await readState()
    const { features: definitions } = project
    let features: FeatureStore | undefined
    const followers = new Set<(decision: Decision) => void | Promise<void>>()

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
      else if (isRegisteredChange(kind)) await followRegistered(decision)
      else if (isSwitch(decision.change)) await features?.tables.refresh()
      else state = await readState()
      await Promise.all([...followers].map((change) => change(decision)))
      return decision
    }

    async function followRegistered({ change: { kind, subject, detail } }: Decision): Promise<void> {
      if (kind === 'version.register') digests.set(subject, detail['digest'] as Digest)
      const version = await readServableOne(sql, String(detail['model']), Number(detail['version']))
      if (version === undefined) registered.delete(subject)
      else registered.set(subject, version)
    }

    const sightings = new Sightings({
      digests,
      async decide(changes) {
        checkDisk()
        for (const decision of await decisions.applyAll(changes, SYSTEM)) await takeEffect(decision)
      },
    })

    /** What drills say about themselves is written all the same. */
    function checkDisk(kind = ''): void {
      if (faults && isDiskFull(faults) && !kind.startsWith('chaos.')) throw StoreErrors.FULL({ file })
    }

    async function decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision> {
      checkDisk(change.kind)
      if (change.kind === 'alias.set' || change.kind === 'endpoint.point')
        await services.gates.checkChange(change, evidence)
      return takeEffect(await decisions.apply(change, evidence, by))
    }

    if (faults) followers.add((decision) => followFaults(faults, decision))
    features =
      definitions &&
      (await openFeatures(project, definitions, platform, {
        sql,
        decideSwitch: async (view, table, evidence) => {
          await decide(switching(view, table), evidence, SYSTEM)
        },
      }))
    const opened = features
    if (opened) closers.push(() => opened.close())

    async function undo(id: DecisionId, by: Actor): Promise<Decision> {
      checkDisk()
      return takeEffect(await decisions.undo(id, by))
    }
    function follow(change: (decision: Decision) => void | Promise<void>): Stop {
      followers.add(change)
      return () => followers.delete(change)
    }
    const storeConfirmedMs = () => platform.clock.monotonicMs()
    const services = {} as Services
    const context: ServiceContext = {
      project,
      platform,
      sql,
      blobs,
      log,
      nodeId,
      registeredChanges,
      pendingKeys,
      decisions,
      services,
      registry: () => state,
      decide,
      undo,
      follow,
      storeConfirmedMs,
      onClose: (close) => closers.push(close),
    }
    Object.assign(services, await openServices(context))

    return {
      nodeId,
      services,
      blobs,
      storeConfirmedMs,
      features: definitions && opened && { ...opened, project: definitions },
      log,
      decisions,
      peers: undefined,
      faults,
      registry: () => state,
      decide,
      undo,
      sawVersion: (version, file) => sightings.add(version, file),
      follow,
      close,
    }
  }
}

/** One line per service: `registry: await openRegistry(context),`. */
async function openServices(context: ServiceContext): Promise<Services> {
  return {
    access: await openAccess(context, context.pendingKeys),
    gates: await openGates(context),
    live: openLive(context),
    registry: openRegistry(context),
    tracking: await openTracking(context),
  }
}
