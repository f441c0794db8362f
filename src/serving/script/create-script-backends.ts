// Loads script versions and knows the threads they run in.
import { type VersionRef, versionKey } from '../../core/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import type { Backend, BackendOptions } from '../types.js'
import { ScriptErrors } from './errors.js'
import { compileScript, ScriptBackend } from './script-backend.js'

export interface ScriptBackends {
  /** A BackendFactory. Rejects with the SCRIPT_ codes of errors.ts. */
  load(artifact: VersionArtifact, options: BackendOptions): Promise<Backend>
  /** For drills: ends the thread of this model, or version of it, as if it had failed. False when none is loaded. */
  kill(model: string, version: number | undefined): boolean
}

export function createScriptBackends(): ScriptBackends {
  const open = new Map<ScriptBackend, VersionRef>()
  return {
    async load({ ref, file, digest, manifest }, { platform: { clock } }) {
      const model = versionKey(ref)
      if (manifest.isolation === 'inline')
        throw ScriptErrors.INVALID({
          model,
          reason:
            'model.json says "isolation": "inline", but an endless loop there would stop the server; leave it out',
        })
      if ((manifest.instances ?? 1) > 1)
        throw ScriptErrors.INVALID({
          model,
          reason: `model.json says "instances": ${manifest.instances}, but a script has one thread; leave it out`,
        })
      const code = await compileScript(model, file, digest, clock)
      const onClosed = () => void open.delete(backend)
      const backend = await ScriptBackend.open({ model, file, code, clock, timeoutMs: manifest.timeoutMs, onClosed })
      open.set(backend, ref)
      return backend
    },
    kill(model, version) {
      for (const [backend, ref] of open) {
        if (ref.model !== model || (version !== undefined && ref.version !== version)) continue
        backend.kill()
        return true
      }
      return false
    },
  }
}
