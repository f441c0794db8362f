// Who calls, in a process that serves requests: keys as the metadata store has them, tokens of the issuers that are configured.
import { createAccess, createDays, createIssuers, type KeyedAccess, loadKeySecret, Meters } from '../../access/index.js'
import type { Platform } from '../../core/index.js'
import type { Engines } from '../engines.js'
import type { LoadedProject } from '../load-project.js'

export interface AppAccess {
  readonly access: KeyedAccess
  /** Hands over what was counted. Before the engines close. */
  close(): Promise<void>
}

export async function openAppAccess(project: LoadedProject, engines: Engines, platform: Platform): Promise<AppAccess> {
  const config = project.config.access
  const secret = await loadKeySecret(project.dataDir, process.env['HEADRACE_KEY_SECRET'])
  const issuers = await createIssuers(config, platform, project.root)
  const meters = new Meters({
    platform,
    days: createDays(platform.clock, config.timeZone),
    limits: engines.services.access,
  })
  const access = createAccess({ platform, secret, issuers, meterOf: (caller, key) => meters.of(caller, key) })
  access.replace(engines.registry().keys)
  const stop = engines.follow(({ change }) => {
    if (change.kind.startsWith('key.')) access.replace(engines.registry().keys)
  })
  return {
    access,
    async close() {
      stop()
      issuers?.close()
      await meters.close()
    },
  }
}
