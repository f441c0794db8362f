// Opens the engines of a data folder in this process: the app's own, or the primary's of several.
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { accessMigrations, type Fingerprint, keyChangeKinds, readKeys } from '../access/index.js'
import { type DecisionId, type Digest, type Platform, type Stop, versionKey } from '../core/index.js'
import {
  type Actor,
  type Change,
  createDecisions,
  type Decision,
  type DecisionPosition,
  type Evidence,
  readPosition,
  requireTerm,
} from '../decisions/index.js'
import type { FeatureStore, TablesState } from '../features/index.js'
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
  type ServableVersion,
} from '../registry/index.js'
import {
  endingTargets,
  gateChangeKinds,
  readActiveReleases,
  readReleaseTargets,
  releaseChangeKinds,
  releaseMigrations,
} from '../release/index.js'
import { cacheMigrations, cacheSwitchKind, readCacheSwitches } from '../serving/index.js'
import { lockFolder, StoreErrors } from '../store/index.js'
import { openAccess } from './access/open-access.js'
import { followFaults } from './chaos/chaos.js'
import { chaosChangeKinds } from './chaos/decisions.js'
import { faultyFiles, isDiskFull } from './chaos/disk.js'
import type { Faults } from './chaos/faults.js'
import { uploadsFolder } from './data-folder.js'
import { logPolicyOf } from './endpoints.js'
import type { Engines, RegistryState } from './engines.js'
import type { Features } from './features/features.js'
import { openFeatures } from './features/open-features.js'
import { featureSwitchKind, isSwitch, switching } from './features/switch-decision.js'
import { openGates } from './gates/open-gates.js'
import { openLive } from './live/open-live.js'
import type { LoadedProject } from './load-project.js'
import { DecisionFlow } from './nodes/decision-flow.js'
import { LocalCopy, readLocalCopy } from './nodes/local-copy.js'
import { readNodeId } from './nodes/node-id.js'
import { openBlobs } from './nodes/open-blobs.js'
import { openMetadata } from './nodes/open-metadata.js'
import { openNodes } from './nodes/open-nodes.js'
import { isAway } from './nodes/patient-sql.js'
import { type ReportParts, Reports } from './nodes/reports.js'
import type { NodesService } from './nodes/service.js'
import { isRegisteredChange, openRegistry } from './registry/open-registry.js'
import { LEADER, openReleases } from './release/open-releases.js'
import { readRepository, repositoryChangeKinds, repositoryMigrations } from './repository/decisions.js'
import type { ServiceContext } from './service-context.js'
import type { Services } from './services.js'
import { Sightings } from './sightings.js'
import { openTracking } from './tracking/open-tracking.js'

/** Changes that nobody asked for by hand. */
const SYSTEM: Actor = { kind: 'system', name: 'headrace' }

/** Registered versions that come together are read one by one up to this many. */
const FEW = 20

/** Engines in this process. */
export interface OpenedEngines extends Engines {
  readonly log: FileLog
  /** With the store itself: workers read through it. */
  readonly features: (Features & FeatureStore) | undefined
  /** What another process of this node reports; undefined when it has ended. */
  heardReport(pid: number, parts: ReportParts | undefined): void
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
    const { sql, file, hasCopy } = await openMetadata(project, platform)
    closers.push(() => sql.close())
    const nodeId = await readNodeId(dataDir, platform)
    const blobs = await openBlobs(project, platform)
    const policy = logPolicyOf(config.endpoints)
    const files = faults ? faultyFiles(realFiles, faults) : realFiles
    const log = await openLog({ ...config.log, folder: path.join(dataDir, 'log'), platform, policy, files })
    closers.push(() => log.close())
    await sql.migrate('registry', registryMigrations)
    await sql.migrate('serving-cache', cacheMigrations)
    await sql.migrate('repository', repositoryMigrations)
    await sql.migrate('access', accessMigrations)
    await sql.migrate('releases', releaseMigrations)
    const pendingKeys = new Map<string, Fingerprint>()
    const registeredChanges = createRegisteredChanges(() => platform.clock.nowMs())
    const decisions = await createDecisions({
      sql,
      platform,
      kinds: [
        ...registryChangeKinds.map((kind) => (kind.kind === 'endpoint.point' ? endingTargets(kind) : kind)),
        ...registeredChanges.kinds,
        ...repositoryChangeKinds,
        cacheSwitchKind,
        ...breakerChangeKinds,
        ...chaosChangeKinds,
        featureSwitchKind(platform),
        ...keyChangeKinds({ clock: platform.clock, pending: pendingKeys, hasIssuers: config.access.jwt.length > 0 }),
        ...gateChangeKinds,
        ...releaseChangeKinds((tx, term) => requireTerm(tx, LEADER, term)),
      ],
    })
    const digests = new Map<string, Digest>()
    const registered = new Map<string, ServableVersion>()
    let registeredRevision = 0
    const readState = async (): Promise<RegistryState> => {
      const [aliases, pointers, releases, targets, cacheSwitches, repository, keys] = await Promise.all([
        readAliases(sql),
        readPointers(sql),
        readActiveReleases(sql),
        readReleaseTargets(sql),
        readCacheSwitches(sql),
        readRepository(sql),
        readKeys(sql),
      ])
      return {
        digests,
        registered,
        registeredRevision,
        aliases,
        pointers,
        releases,
        targets,
        cacheSwitches,
        repository,
        keys,
      }
    }
    async function readAll(): Promise<void> {
      for (const row of await readVersions(sql)) digests.set(versionKey(row.ref), row.digest)
      refill(registered, await readServable(sql))
      registeredRevision++
      state = await readState()
    }
    let state: RegistryState
    let position: DecisionPosition
    let isFromCopy = false
    let knownTables: TablesState | undefined
    try {
      // Read before the state: what is decided in between takes effect twice, rather than never.
      position = await readPosition(sql)
      state = await readState()
      await readAll()
    } catch (error) {
      const copy = hasCopy && isAway(error) ? await readLocalCopy(dataDir) : undefined
      if (copy === undefined) throw error
      platform.logger.warn(
        { err: error, decision: copy.position.number },
        'the metadata store cannot be reached: serving by the copy in the data folder. Changes are refused until it is back',
      )
      isFromCopy = true
      position = copy.position
      refill(digests, copy.state.digests)
      refill(registered, copy.state.registered)
      state = { ...copy.state, digests, registered, registeredRevision }
      knownTables = copy.featureTables ?? { tables: [], live: {} }
    }
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
    async function begin(made: readonly Decision[]): Promise<Promise<unknown>[]> {
      const isRegistered = ({ change }: Decision) => isRegisteredChange(change.kind)
      const isState = (decision: Decision) =>
        decision.change.kind !== 'version.seen' && !isSwitch(decision.change) && !isRegistered(decision)
      if (made.some(({ change }) => isSwitch(change))) await features?.tables.refresh()
      const come = made.filter(isRegistered)
      if (come.length > FEW) refill(registered, await readServable(sql))
      else for (const decision of come) await followRegistered(decision)
      if (come.length > 0) registeredRevision++
      state = made.some(isState) ? await readState() : { ...state, registeredRevision }
      return made.map((decision) => {
        const { kind, subject, detail } = decision.change
        if (kind === 'version.seen' || kind === 'version.register') digests.set(subject, detail['digest'] as Digest)
        return Promise.all([...followers].map(async (change) => change(decision)))
      })
    }

    const localCopy = config.store.databaseUrl === undefined ? undefined : new LocalCopy(dataDir, platform)
    if (localCopy) closers.push(() => localCopy.close())
    const keepCopy = (at: DecisionPosition) =>
      localCopy?.changed({ position: at, state, featureTables: features?.tables.state() ?? knownTables })
    const flow = new DecisionFlow({
      sql,
      platform,
      position,
      isFromCopy,
      begin,
      async reread() {
        await sql.migrateDue()
        await features?.tables.refresh()
        await readAll()
      },
      onAdvance: keepCopy,
    })
    closers.push(() => flow.stop())
    if (!isFromCopy) keepCopy(position)

    async function followRegistered({ change: { subject, detail } }: Decision): Promise<void> {
      const version = await readServableOne(sql, String(detail['model']), Number(detail['version']))
      if (version === undefined) registered.delete(subject)
      else registered.set(subject, version)
    }

    const sightings = new Sightings({
      digests,
      async decide(changes) {
        checkDisk()
        await flow.own(await decisions.applyAll(changes, SYSTEM))
      },
    })

    /** What drills say about themselves is written all the same. */
    function checkDisk(kind = ''): void {
      if (faults && isDiskFull(faults) && !kind.startsWith('chaos.')) throw StoreErrors.FULL({ file })
    }

    async function decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision> {
      checkDisk(change.kind)
      if (change.kind === 'alias.set' || change.kind === 'endpoint.point')
        await services.gates.checkChange(change, evidence, by)
      const decision = await decisions.apply(change, evidence, by)
      await flow.own([decision])
      return decision
    }

    if (faults) followers.add((decision) => followFaults(faults, decision))
    features =
      definitions &&
      (await openFeatures(project, definitions, platform, {
        sql,
        known: knownTables,
        decideSwitch: async (view, table, evidence) => {
          await decide(switching(view, table), evidence, SYSTEM)
        },
      }))
    const opened = features
    if (opened) closers.push(() => opened.close())
    // Generations come and go without decisions, too.
    opened?.tables.watch(() => keepCopy(flow.position))
    if (opened && !isFromCopy) keepCopy(position)

    async function undo(id: DecisionId, by: Actor): Promise<Decision> {
      checkDisk()
      const decision = await decisions.undo(id, by)
      await flow.own([decision])
      return decision
    }
    function follow(change: (decision: Decision) => void | Promise<void>): Stop {
      followers.add(change)
      return () => followers.delete(change)
    }
    const storeConfirmedMs = () => flow.confirmedMs()
    const reports = new Reports()
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
      report: (part, read) => reports.offer(part, read),
      onClose: (close) => closers.push(close),
    }
    const nodes = await openNodes({ context, reports, decision: () => flow.position.number })
    Object.assign(services, { nodes, ...(await openServices(context, nodes)) } satisfies Services)
    // Everything that follows decisions is there.
    flow.start()

    return {
      nodeId,
      services,
      blobs,
      storeConfirmedMs,
      report: (part, read) => reports.offer(part, read),
      heardReport: (pid, parts) => reports.heard(pid, parts),
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
async function openServices(context: ServiceContext, nodes: NodesService): Promise<Omit<Services, 'nodes'>> {
  return {
    access: await openAccess(context, context.pendingKeys),
    gates: await openGates(context),
    live: await openLive({
      ...context,
      shared: context.project.config.store.databaseUrl === undefined ? undefined : { sql: context.sql, nodes },
    }),
    releases: await openReleases(context),
    registry: openRegistry(context),
    tracking: await openTracking(context),
  }
}

function refill<V>(map: Map<string, V>, entries: ReadonlyMap<string, V>): void {
  map.clear()
  for (const [key, value] of entries) map.set(key, value)
}
