// Artifacts as the configuration places them; each process opens them by itself.
import process from 'node:process'
import type { Platform } from '../../core/index.js'
import { type Blobs, createDiskBlobs, createS3Blobs } from '../../store/index.js'
import { blobsFolder } from '../data-folder.js'
import type { LoadedProject } from '../load-project.js'

/** `isShared`: another process of this server owns the data folder. */
export function openBlobs(project: LoadedProject, platform: Platform, isShared = false): Promise<Blobs> {
  const { blobs: url } = project.config.store
  return url === undefined
    ? createDiskBlobs(blobsFolder(project), platform, { isShared })
    : createS3Blobs({ url, environment: process.env, platform })
}
