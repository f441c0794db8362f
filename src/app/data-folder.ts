// What is where in the data folder.
import path from 'node:path'
import type { LoadedProject } from './load-project.js'

/** Where pushes are kept until they are whole. */
export function uploadsFolder({ dataDir }: LoadedProject): string {
  return path.join(dataDir, 'uploads')
}

/** Artifacts, when they are kept on this disk. */
export function blobsFolder({ dataDir }: LoadedProject): string {
  return path.join(dataDir, 'blobs')
}

/** Copies of registered versions, as they are served. */
export function registeredFolder({ dataDir }: LoadedProject): string {
  return path.join(dataDir, 'registered')
}

/** Uploads in pieces, which survive a restart. */
export function incomingFolder({ dataDir }: LoadedProject): string {
  return path.join(dataDir, 'incoming')
}

/** The private key that packages of versions are signed with. */
export function signingKeyFile({ dataDir }: LoadedProject): string {
  return path.join(dataDir, 'signing-key.pem')
}
