// The factory of script versions.
import { versionKey } from '../../core/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import type { Backend, BackendOptions } from '../types.js'
import { ScriptErrors } from './errors.js'
import { compileScript, ScriptBackend } from './script-backend.js'

/** A BackendFactory. Rejects with the SCRIPT_ codes of errors.ts. */
export async function loadScript(
  { ref, file, digest, manifest }: VersionArtifact,
  { platform: { clock } }: BackendOptions,
): Promise<Backend> {
  const model = versionKey(ref)
  if (manifest.isolation === 'inline')
    throw ScriptErrors.INVALID({
      model,
      reason: 'model.json says "isolation": "inline", but an endless loop there would stop the server; leave it out',
    })
  const code = await compileScript(model, file, digest, clock)
  return ScriptBackend.open({ model, file, code, clock, timeoutMs: manifest.timeoutMs })
}
