// Where artifacts lie: what runs and logged models keep, by the paths clients chose; and what registered versions are made of, which
// nobody changes any more.
import type { RegistryService } from '../../registry/index.js'
import { type Artifact, type ArtifactEntry, TrackingErrors, type TrackingService } from '../../tracking/index.js'
import { listed } from './answer.js'

const SCHEME = 'mlflow-artifacts:'
const REGISTERED = 'registered-models'

/** `mlflow-artifacts:/1/…` and `mlflow-artifacts://host/1/…`; undefined for what lies elsewhere. */
export function pathOfUri(uri: string): string | undefined {
  if (!uri.startsWith(`${SCHEME}/`)) return undefined
  return uri
    .slice(SCHEME.length)
    .replace(/^\/\/[^/]*/, '')
    .replace(/^\/+|\/+$/g, '')
}

/** By the name that addresses use: a registered name may be any text. */
export function uriOfVersion(servableName: string, version: number): string {
  return `${SCHEME}/${REGISTERED}/${servableName}/${version}`
}

export function isRegistered(path: string): boolean {
  return path === REGISTERED || path.startsWith(`${REGISTERED}/`)
}

export interface ArtifactTree {
  file(path: string): Promise<Artifact>
  list(folder: string): Promise<readonly ArtifactEntry[]>
}

export function artifactTree(tracking: TrackingService, registry: RegistryService): ArtifactTree {
  /** The files of the version that a path lies in, by their paths in it. */
  async function version(path: string): Promise<{ inner: string; files: readonly Artifact[] }> {
    const [, model = '', number = '', ...rest] = path.split('/')
    if (!/^[1-9]\d{0,14}$/.test(number)) throw TrackingErrors.ARTIFACT_UNKNOWN({ path })
    const { files } = await registry.describe({ model, version: Number(number) })
    return { inner: rest.join('/'), files }
  }

  return {
    async file(path) {
      if (!isRegistered(path)) return tracking.getArtifact(path)
      const { inner, files } = await version(path)
      const file = files.find((one) => one.path === inner)
      if (file === undefined) throw TrackingErrors.ARTIFACT_UNKNOWN({ path })
      return file
    },

    async list(folder) {
      if (!isRegistered(folder)) return tracking.listArtifacts(folder)
      const { inner, files } = await version(folder)
      const start = inner === '' ? '' : `${inner}/`
      const entries = new Map<string, ArtifactEntry>()
      for (const { path, sizeBytes } of files) {
        if (!path.startsWith(start)) continue
        const [name = '', ...below] = path.slice(start.length).split('/')
        entries.set(name, below.length > 0 ? { name, isFolder: true } : { name, isFolder: false, sizeBytes })
      }
      return [...entries.values()]
    },
  }
}

/** As clients of stores without a proxy list: paths relative to the root. */
export async function folderShape(tracking: TrackingService, rootUri: string, path: string): Promise<object> {
  const root = pathOfUri(rootUri)
  if (root === undefined) return { root_uri: rootUri }
  const inner = path.replace(/^\/+|\/+$/g, '')
  const entries = await tracking.listArtifacts(inner === '' ? root : `${root}/${inner}`)
  return {
    root_uri: rootUri,
    files: listed(entries.map((entry) => entryShape(entry, inner === '' ? '' : `${inner}/`))),
  }
}

export function entryShape(entry: ArtifactEntry, folder: string): object {
  const path = folder + entry.name
  return entry.isFolder ? { path, is_dir: true } : { path, is_dir: false, file_size: entry.sizeBytes }
}
