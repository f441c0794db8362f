// Versions from `<folder>/<model>/<version>/model.onnx`, or `model.ts` (and model.json). Copying into the folder is not atomic, so a version
// is announced only when it is complete: (1) nothing in its folder changed for the settle time, by two looks or by the file
// system's own times (so that start-up does not wait for old files), and (2) the ONNX file is whole and the files it names are
// there. Rename a finished folder into place, or use pushVersion, and a watcher can never see half of it.
import { basename, join, relative, sep } from 'node:path'
import { type Platform, type Stop, type VersionRef, versionKey } from '../core/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import { type Content, contentDifference, loadArtifact, readContent, type VersionFiles } from './artifact.js'
import { type Completeness, completenessOf } from './completeness.js'
import { RegistryErrors } from './errors.js'
import { type FileMemory, isKnownWhole, type KnownFiles, rememberWhole } from './file-memory.js'
import { type FolderLook, lookAtFolder, type VersionLook } from './folder-look.js'
import { createFolderWatch, type FolderWatch } from './folder-watch.js'
import type { FolderSource, PendingVersion, SourceEvent } from './types.js'

export interface FolderSourceOptions {
  readonly folder: string
  readonly platform: Platform
  /** Whether there may be no folder yet, which is then as good as an empty one; default false. */
  readonly mayBeMissing?: boolean | (() => Promise<boolean>)
  /** How long a version must not change before it counts as complete; default 500. */
  readonly settleMs?: number
  /** What is known of files that have not changed; default: they are read at every start. */
  readonly memory?: FileMemory
  /** Between looks when the file system reports nothing; default 2,000. */
  readonly pollMs?: number
}

// A copying tool causes many events; they are answered by one look.
const GATHER_MS = 50

/** Files of so many versions are read at once. */
const MEET_TOGETHER = 32

/** A version folder over several looks. */
interface Tracked {
  readonly ref: VersionRef
  readonly folder: string
  stamp: string
  /** Monotonic time at which `stamp` was first seen. */
  stampSinceMs: number
  /** The stamp whose files were last examined, so that nothing is examined twice. */
  examinedStamp: string | undefined
  isAnnounced: boolean
  /** Why it is not announced. */
  reason: string
  /** Monotonic time at which the model file was first missing. */
  missingSinceMs: number | undefined
  files: VersionFiles
  /** What `get` gave out; from then on another content is refused. */
  content: Content | undefined
  /** The last difference reported. */
  refused: string | undefined
}

/** Use `createFileSource` to serve one file instead. */
export function createFolderSource(options: FolderSourceOptions): FolderSource {
  return new ModelsFolder(options)
}

class ModelsFolder implements FolderSource {
  readonly #folder: string
  readonly #platform: Platform
  readonly #settleMs: number
  readonly #pollMs: number
  readonly #known: KnownFiles
  /** No longer once it was there: then its absence is an unmounted disk. */
  #mayBeMissing: boolean | (() => Promise<boolean>)
  readonly #tracked = new Map<string, Tracked>()
  readonly #watchers = new Set<(event: SourceEvent) => void>()
  readonly #warned = new Set<string>()
  #watch: FolderWatch | undefined
  #timer: { readonly atMs: number; cancel(): void } | undefined
  /** Whether the last look saw files that may still be changing. */
  #isSettling = false
  /** Looks run one after the other. */
  #last: Promise<void> = Promise.resolve()

  constructor(options: FolderSourceOptions) {
    this.#folder = options.folder
    this.#mayBeMissing = options.mayBeMissing ?? false
    this.#platform = options.platform
    this.#settleMs = options.settleMs ?? 500
    this.#pollMs = options.pollMs ?? 2000
    this.#known = { memory: options.memory, nowMs: () => options.platform.clock.nowMs() }
  }

  async settle(): Promise<void> {
    await this.#look()
    if (!this.#isSettling) return
    await new Promise<void>((resolve) => this.#platform.clock.after(this.#settleMs + 1, resolve))
  }

  async list(): Promise<VersionRef[]> {
    // While somebody watches, what is known is current; a look for each question would cost more and could fail.
    await (this.#watchers.size > 0 ? this.#last : this.#look())
    return this.#refs((version) => version.isAnnounced)
  }

  pending(): PendingVersion[] {
    const refs = this.#refs((version) => !version.isAnnounced)
    return refs.map((ref) => ({ ref, reason: this.#tracked.get(versionKey(ref))!.reason }))
  }

  refresh(): Promise<void> {
    return this.#look()
  }

  async get(ref: VersionRef): Promise<VersionArtifact> {
    const version = this.#tracked.get(versionKey(ref))
    if (!version?.isAnnounced) {
      const reason = version ? { reason: version.reason } : {}
      throw RegistryErrors.VERSION_NOT_FOUND({ model: ref.model, version: ref.version, ...reason })
    }
    const { artifact, content } = await loadArtifact(version.ref, version.files, this.#known).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
        const { model } = version.files
        throw RegistryErrors.VERSION_NOT_FOUND({ ...ref, reason: `"${model}" was removed` }, error)
      },
    )
    if (version.content !== undefined) {
      const difference = contentDifference(version.content, content)
      if (difference) throw RegistryErrors.DIGEST_CHANGED({ ...ref, difference })
    }
    version.content = content
    return artifact
  }

  watch(change: (event: SourceEvent) => void): Stop {
    this.#watchers.add(change)
    this.#watch ??= createFolderWatch(() => this.#lookIn(GATHER_MS), this.#platform.logger)
    this.#lookUnasked()
    return () => {
      this.#watchers.delete(change)
      if (this.#watchers.size > 0) return
      this.#watch?.close()
      this.#watch = undefined
      this.#timer?.cancel()
      this.#timer = undefined
    }
  }

  #refs(which: (version: Tracked) => boolean): VersionRef[] {
    const refs = [...this.#tracked.values()].filter(which).map((version) => version.ref)
    return refs.sort(compareRefs)
  }

  /** Asks for a look within `delayMs`, if anybody watches. */
  #lookIn(delayMs: number): void {
    if (this.#watchers.size === 0) return
    const { clock } = this.#platform
    const atMs = clock.monotonicMs() + delayMs
    if (this.#timer) {
      if (this.#timer.atMs <= atMs) return
      this.#timer.cancel()
    }
    const timer = clock.after(delayMs, () => {
      this.#timer = undefined
      this.#lookUnasked()
    })
    this.#timer = { atMs, cancel: () => timer.cancel() }
  }

  #lookUnasked(): void {
    // A folder that cannot be read keeps its versions: they are served from memory, and an unmounted disk comes back.
    this.#look().catch((error: unknown) => {
      this.#warnOnce(this.#folder, { err: error }, 'looking at the models folder failed; what is loaded stays')
    })
  }

  #look(): Promise<void> {
    const look = this.#last.then(() => this.#lookNow())
    this.#last = look.catch(() => undefined)
    return look
  }

  async #lookNow(): Promise<void> {
    const { clock } = this.#platform
    const startMs = clock.monotonicMs()
    const events: SourceEvent[] = []
    let isSettling = false
    try {
      const look = await lookAtFolder(this.#folder).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' && !(await this.#isMissed())) return undefined
        throw RegistryErrors.FOLDER_UNREADABLE({ folder: this.#folder, reason: error.message }, error)
      })
      if (look === undefined) return
      this.#mayBeMissing = false
      this.#warned.delete(this.#folder)
      // Files may have appeared in a folder before it was watched.
      if (this.#watch?.follow(look.folders)) this.#lookIn(GATHER_MS)
      this.#warnAbout(look)
      const all = [...look.versions.values()]
      for (let i = 0; i < all.length; i += MEET_TOGETHER) {
        const met = await Promise.all(all.slice(i, i + MEET_TOGETHER).map((found) => this.#meet(found, events)))
        isSettling = met.includes(true) || isSettling
      }
      isSettling = this.#miss(look, events) || isSettling
    } finally {
      this.#isSettling = isSettling
      // Of thousands of versions a look takes a tenth of a second: looking is not to take more than 2 % of the time.
      const pollMs = Math.max(this.#pollMs, 50 * (clock.monotonicMs() - startMs))
      // One more millisecond, because a timer may run a fraction early.
      this.#lookIn(isSettling ? Math.min(this.#settleMs + 1, pollMs) : pollMs)
    }
    events.sort((a, b) => compareRefs(a.ref, b.ref))
    for (const event of events) for (const change of this.#watchers) change(event)
  }

  async #isMissed(): Promise<boolean> {
    if (typeof this.#mayBeMissing === 'function') this.#mayBeMissing = await this.#mayBeMissing()
    return !this.#mayBeMissing
  }

  /** Takes note of a version folder that is there; says whether it needs another look when the settle time is over. */
  async #meet(found: VersionLook, events: SourceEvent[]): Promise<boolean> {
    const { clock, logger } = this.#platform
    const nowMs = clock.monotonicMs()
    const key = versionKey(found.ref)
    const version = this.#tracked.get(key) ?? newlyTracked(found, nowMs)
    this.#tracked.set(key, version)
    if (!hasModel(version, found)) return false
    version.missingSinceMs = undefined
    if (version.stamp !== found.stamp) {
      version.stamp = found.stamp
      version.stampSinceMs = nowMs
    }
    const isSettled =
      nowMs - version.stampSinceMs >= this.#settleMs || clock.nowMs() - found.changedMs >= this.#settleMs
    if (!isSettled) {
      version.reason = 'its files are still changing'
      return true
    }
    // What is not announced is examined again at each look: files in folders below do not show in the stamp.
    if (version.isAnnounced && version.examinedStamp === found.stamp) return false
    const model = version.isAnnounced ? version.files.model : join(found.folder, found.models[0]!)
    version.files = {
      ...version.files,
      model,
      manifest: found.hasManifest ? join(found.folder, 'model.json') : undefined,
    }
    const reason =
      !version.isAnnounced && found.models.length > 1
        ? `it has ${found.models.join(' and ')}, and a version is one file`
        : await this.#examine(version, events).catch((error: Error) => error.message)
    if (reason === undefined) {
      version.examinedStamp = found.stamp
    } else if (reason !== version.reason) {
      version.reason = reason
      logger.warn({ version: key, reason }, 'a version is not served because it is not complete')
    }
    return false
  }

  /** Announces, refuses or accepts the settled files of a version; a text says why nothing could be decided. */
  async #examine(version: Tracked, events: SourceEvent[]): Promise<string | undefined> {
    if (version.content !== undefined) {
      const difference = contentDifference(version.content, await readContent(version.files, this.#known))
      if (difference !== undefined && difference !== version.refused) {
        const { message } = RegistryErrors.DIGEST_CHANGED({ ...version.ref, difference })
        events.push({ kind: 'changed', ref: version.ref, reason: message })
      }
      version.refused = difference
      return undefined
    }
    const external = await this.#wholeness(version)
    if (typeof external === 'string') return external
    version.files = { ...version.files, external }
    version.isAnnounced = true
    // Announced again when its files were replaced before anybody got them: to everyone they are new.
    events.push({ kind: 'added', ref: version.ref })
    return undefined
  }

  /** The files that hold its tensors, or why it is not whole. */
  async #wholeness(version: Tracked): Promise<readonly string[] | string> {
    const { model } = version.files
    if (isKnownWhole(model, version.stamp, this.#known)) return []
    const completeness = await completenessOf(model)
    if (completeness.kind !== 'complete') return incompleteness(completeness, version)
    // Files in folders below do not show in the stamp.
    if (completeness.external.length === 0) rememberWhole(model, version.stamp, this.#known)
    return completeness.external
  }

  /** Takes note of versions whose model file is not there; says whether that needs another look. */
  #miss(look: FolderLook, events: SourceEvent[]): boolean {
    const nowMs = this.#platform.clock.monotonicMs()
    let isSettling = false
    for (const [key, version] of this.#tracked) {
      const found = look.versions.get(key)
      if ((found && hasModel(version, found)) || isUnreadable(version.folder, look)) continue
      if (!version.isAnnounced) {
        if (found) version.reason = NO_MODEL
        else this.#tracked.delete(key)
        continue
      }
      // A file that is replaced by "rm" and "cp" is absent for a moment; unloading its version then would be wrong.
      version.missingSinceMs ??= nowMs
      if (nowMs - version.missingSinceMs < this.#settleMs) {
        isSettling = true
        continue
      }
      this.#tracked.delete(key)
      events.push({ kind: 'removed', ref: version.ref })
    }
    return isSettling
  }

  #warnAbout(look: FolderLook): void {
    for (const [folder, reason] of look.misnamed) {
      this.#warnOnce(folder, { folder }, `a folder among the models is ignored: its name ${reason}`)
    }
    for (const [folder, reason] of look.unreadable) {
      this.#warnOnce(folder, { folder, reason }, 'a folder among the models cannot be read')
    }
  }

  #warnOnce(subject: string, fields: object, message: string): void {
    if (this.#warned.has(subject)) return
    this.#warned.add(subject)
    this.#platform.logger.warn(fields, message)
  }
}

/** Whether its model file is there: the one announced, or any before that. */
function hasModel(version: Tracked, { models }: VersionLook): boolean {
  return version.isAnnounced ? models.includes(basename(version.files.model)) : models.length > 0
}

function incompleteness(found: Exclude<Completeness, { kind: 'complete' }>, { files, folder }: Tracked): string {
  const file = basename(files.model)
  switch (found.kind) {
    case 'foreign':
      return `${file} is ${found.found}. ${found.remedy}`
    case 'broken':
      return `${file} is not whole: ${found.reason}`
    case 'missing':
      return `${file} keeps tensors in "${relative(folder, found.file)}", which is not there`
  }
}

function isUnreadable(versionFolder: string, { unreadable }: FolderLook): boolean {
  return [...unreadable.keys()].some((folder) => `${versionFolder}${sep}`.startsWith(`${folder}${sep}`))
}

function compareRefs(a: VersionRef, b: VersionRef): number {
  return a.model < b.model ? -1 : a.model > b.model ? 1 : a.version - b.version
}

const NO_MODEL = 'it has no model.onnx and no script (model.ts, model.mjs or model.js)'

function newlyTracked(found: VersionLook, nowMs: number): Tracked {
  return {
    ref: found.ref,
    folder: found.folder,
    stamp: found.stamp,
    stampSinceMs: nowMs,
    examinedStamp: undefined,
    isAnnounced: false,
    reason: NO_MODEL,
    missingSinceMs: undefined,
    files: { model: join(found.folder, 'model.onnx'), manifest: undefined, external: [] },
    content: undefined,
    refused: undefined,
  }
}
