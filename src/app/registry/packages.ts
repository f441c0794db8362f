// Versions as files, signed with this server's key.
import { join } from 'node:path'
import {
  exportVersion,
  importVersion,
  openSigning,
  type PackagesOptions,
  type Registered,
  type RegistryActor,
} from '../../registry/index.js'
import type { App } from '../app.js'
import { incomingFolder, signingKeyFile } from '../data-folder.js'

type Packing = Pick<App, 'project' | 'platform' | 'services' | 'blobs'>

async function optionsOf({ project, platform, services, blobs }: Packing): Promise<PackagesOptions> {
  const signing = await openSigning(signingKeyFile(project), platform)
  return { registry: services.registry, blobs, platform, signing }
}

/** This server's public key, for others to trust. */
export async function signerOf({ project, platform }: Packing): Promise<string> {
  return (await openSigning(signingKeyFile(project), platform)).signer
}

export async function exportRegistered(app: Packing, ref: string) {
  return exportVersion(await optionsOf(app), ref)
}

export async function importRegistered(
  app: Packing,
  request: {
    readonly file: string
    readonly trust: readonly string[]
    readonly insecureUnsigned: boolean
    readonly as?: string
    readonly by: RegistryActor
  },
): Promise<Registered> {
  const { trustedSigners } = app.project.config.registry
  return importVersion(await optionsOf(app), {
    ...request,
    trust: [...trustedSigners, ...request.trust],
    scratch: join(incomingFolder(app.project), `.import-${app.platform.ids.next()}`),
  })
}
