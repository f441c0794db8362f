// The composition root: builds every domain from the configuration and wires those that may not know each other.
import path from 'node:path'
import {
  type DecisionId,
  type Digest,
  type HeadraceError,
  type Platform,
  toHeadraceError,
  type VersionRef,
  versionKey,
} from '../core/index.js'
import {
  type Actor,
  type Change,
  createDecisions,
  type Decision,
  type Decisions,
  type Evidence,
} from '../decisions/index.js'
import { type FileLog, openLog } from '../log/index.js'
import { createPath, type Path, type Versions } from '../path/index.js'
import {
  createFileSource,
  createFolderSource,
  type ModelSource,
  readAliases,
  readPointers,
  readVersions,
  registryChangeKinds,
  registryMigrations,
} from '../registry/index.js'
import { createOnnxBackends, createPool, type Pool } from '../serving/index.js'
import { lockFolder, openSql } from '../store/index.js'
import { describeRows, rowsToTensors } from '../tensor/index.js'
import { createEndpoints, type Endpoints } from './endpoints.js'
import type { LoadedProject } from './load-project.js'
import { Aliases, createVersions } from './versions.js'

/** Changes that nobody asked for by hand. */
const SYSTEM: Actor = { kind: 'system', name: 'headrace' }

/** Everything that runs, built and wired. The views and operations beside this file are functions of it. */
export interface App {
  readonly project: LoadedProject
  readonly platform: Platform
  readonly path: Path
  readonly pool: Pool
  readonly endpoints: Endpoints
  readonly versions: Versions
  readonly aliases: Aliases
  /** For reading; changes go through `decide` and `undo`, so that they take effect before they resolve. */
  readonly decisions: Omit<Decisions, 'apply' | 'undo'>
  readonly log: FileLog
  readonly source: ModelSource
  /** Why a version that is there was never given to the pool: its files or its model.json are at fault. */
  readonly refused: ReadonlyMap<string, HeadraceError>
  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  undo(id: DecisionId, by: Actor): Promise<Decision>
  /** True once every version found at start was either warmed up or refused, and not all of them were refused. */
  isReady(): boolean
  /** Loads what the source has and follows it. Resolves when every version found was either warmed up or refused. */
  start(): Promise<void>
  /** Finishes what is in flight (for at most `server.drainMs`), flushes the log and closes everything. */
  close(): Promise<void>
}

export interface AppOptions {
  /** `start` will follow: the threads that load models are started meanwhile. Default true. */
  readonly loads?: boolean
}

/** Opens the data folder, exclusively, and what is in it. Nothing is loaded before `start`. */
export async function createApp(project: LoadedProject, platform: Platform, options: AppOptions = {}): Promise<App> {
  const { config, dataDir } = project
  const { logger } = platform
  // A thread that died took its sessions along: those versions load again, once there is a pool.
  let onFailure: Pool['restart'] = async () => {}
  const onnx = createOnnxBackends({
    threads: config.serving.threads,
    onFailure: (ref, error) => void onFailure(ref, error),
  })
  if (options.loads ?? true) onnx.prepare({ platform })
  const aliases = new Aliases()
  const endpoints = createEndpoints(config.endpoints, aliases)
  const lock = await lockFolder(dataDir).catch(async (error: unknown) => {
    await onnx.close()
    throw error
  })
  const closers: (() => Promise<void>)[] = [() => lock.release(), () => onnx.close()]
  const closeAll = async () => {
    for (const close of closers.reverse()) await close()
  }
  try {
    return await open()
  } catch (error) {
    await closeAll()
    throw error
  }

  async function open(): Promise<App> {
    const sql = await openSql({ file: path.join(dataDir, 'metadata.db'), platform })
    closers.push(() => sql.close())
    const policy = (name: string) => endpoints.logPolicy(name)
    const log = await openLog({ ...config.log, folder: path.join(dataDir, 'log'), platform, policy })
    closers.push(() => log.close())
    await sql.migrate('registry', registryMigrations)
    const decisions = await createDecisions({ sql, platform, kinds: registryChangeKinds })
    const pool = createPool({
      platform,
      factories: new Map([['onnx', onnx.load]]),
      warmupInputs: ({ manifest }, signature) =>
        manifest.warmup.map(({ inputs }) =>
          rowsToTensors([inputs], describeRows(signature, manifest, manifest.labels)),
        ),
    })
    closers.push(() => pool.close())
    onFailure = pool.restart
    const versions = createVersions(pool, aliases)
    const requests = createPath({ platform, versions, log })
    const source =
      project.models.kind === 'file'
        ? createFileSource({ file: project.models.file, platform })
        : createFolderSource({ ...config.models, folder: project.models.folder, platform })
    const found = new Map<string, VersionRef>()
    const refused = new Map<string, HeadraceError>()
    const seen = new Map((await readVersions(sql)).map((row) => [versionKey(row.ref), row.digest]))
    let isStarted = false

    /** Aliases and pointers change only by decisions, and rarely: they are read again as a whole. */
    async function refresh(): Promise<void> {
      aliases.replace(await readAliases(sql))
      endpoints.replace(new Set([...found.values()].map((ref) => ref.model)), await readPointers(sql))
    }

    async function load(ref: VersionRef): Promise<void> {
      refused.delete(versionKey(ref))
      try {
        const artifact = await source.get(ref)
        if (seen.get(versionKey(ref)) !== artifact.digest) {
          const detail = { model: ref.model, version: ref.version, digest: artifact.digest }
          const file = path.relative(project.root, artifact.file)
          await decisions.apply(
            { kind: 'version.seen', subject: versionKey(ref), detail },
            { file, sizeBytes: artifact.sizeBytes },
            SYSTEM,
          )
        }
        await pool.load(artifact)
      } catch (error) {
        const failure = toHeadraceError(error)
        refused.set(versionKey(ref), failure)
        logger.error({ model: ref.model, version: ref.version, err: failure }, failure.message)
      }
    }

    async function add(ref: VersionRef): Promise<void> {
      found.set(versionKey(ref), ref)
      await refresh()
      await load(ref)
    }

    async function remove(ref: VersionRef): Promise<void> {
      found.delete(versionKey(ref))
      refused.delete(versionKey(ref))
      await refresh()
      await pool.unload(ref)
    }

    await refresh()
    decisions.watch(({ id, timeMs, change, by }) => {
      // A push has said so already, in the name of whoever pushed.
      if (change.kind === 'version.seen') seen.set(change.subject, change.detail['digest'] as Digest)
      log.append({
        kind: 'decision',
        id,
        timeMs,
        change: change.kind,
        subject: change.subject,
        by: `${by.kind}:${by.name}`,
      })
    })
    pool.watch(({ ref, state, reason }) => {
      const fields = { model: ref.model, version: ref.version, state, reason }
      if (state === 'failed' || state === 'unready') logger.error(fields, 'model version is not serving')
      else logger.info(fields, 'model version changed state')
    })

    return {
      project,
      platform,
      path: requests,
      pool,
      endpoints,
      versions,
      aliases,
      decisions,
      log,
      source,
      refused,
      async decide(change, evidence, by) {
        const decision = await decisions.apply(change, evidence, by)
        await refresh()
        return decision
      },
      async undo(id, by) {
        const decision = await decisions.undo(id, by)
        await refresh()
        return decision
      },
      isReady() {
        const hasModel = found.size === 0 || pool.statuses().some(({ state }) => state === 'ready')
        return isStarted && !requests.isDraining && hasModel
      },
      async start() {
        await source.settle()
        for (const ref of await source.list()) found.set(versionKey(ref), ref)
        await refresh()
        await Promise.all([...found.values()].map(load))
        isStarted = true
        closers.push(
          stopper(
            source.watch((event) => {
              if (event.kind === 'added') void add(event.ref)
              else if (event.kind === 'removed') void remove(event.ref)
              else logger.error({ model: event.ref.model, version: event.ref.version }, event.reason)
            }),
          ),
        )
      },
      async close() {
        await drain(requests, config.server.drainMs, platform)
        await closeAll()
      },
    }
  }
}

function stopper(stop: () => void): () => Promise<void> {
  return async () => stop()
}

function drain(requests: Path, limitMs: number, { clock, logger }: Platform): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(limitMs, () => {
      logger.warn({ inFlight: requests.inFlight }, 'requests in flight did not end in time; closing without them')
      resolve()
    })
    void requests.drain().then(() => {
      timer.cancel()
      resolve()
    })
  })
}
