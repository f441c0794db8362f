// Pushes a file to the registry: its bytes to the blob store, and then everything that is known of it at once.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createUploadSessions,
  putFile,
  type Registered,
  type Registration,
  stageVersion,
  type UploadSessions,
} from '../../registry/index.js'
import { convertModel } from '../../serving/index.js'
import type { App } from '../app.js'
import { incomingFolder } from '../data-folder.js'

export interface PushRequest extends Omit<Registration, 'files' | 'stagedIn' | 'source'> {
  /** Moved into the registry, with what the ONNX file names beside it. */
  readonly file: string
  readonly manifest?: string
  /** An own folder for the files; removed with what is in it. */
  readonly scratch: string
}

/** Throws what `stageVersion` and a registration throw. */
export async function pushRegistered(
  { services, blobs }: Pick<App, 'services' | 'blobs'>,
  request: PushRequest,
): Promise<Registered & { readonly notices: readonly string[] }> {
  const { file, manifest, scratch, ...registration } = request
  const into = join(scratch, 'version')
  try {
    const staged = await stageVersion({
      file,
      into,
      convert: convertModel,
      ...(manifest === undefined ? {} : { manifest }),
    })
    const missing = new Set(await services.registry.claimBlobs(staged.files))
    for (const { path, digest } of staged.files) if (missing.has(digest)) await putFile(blobs, join(into, path), digest)
    const registered = await services.registry.registerVersion({
      ...registration,
      files: staged.files,
      source: 'push',
      stagedIn: into,
      mustServe: true,
    })
    return { ...registered, notices: staged.notices }
  } finally {
    await rm(into, { recursive: true, force: true })
  }
}

/** Uploads in pieces, of one process; any process of the server can go on with them. */
export function openUploads({ project, platform, services, blobs }: App): UploadSessions {
  return createUploadSessions({ folder: incomingFolder(project), blobs, platform, registry: services.registry })
}
