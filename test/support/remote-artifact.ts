// A version that another server runs, as the registry gives it: `far/1`.
import type { RemoteModel, VersionArtifact } from '../../src/tensor/index.js'
import { fakeArtifact } from './fake-backend.js'

export function remoteArtifact(url: string, parts: Partial<RemoteModel> = {}): VersionArtifact {
  const remote: RemoteModel = {
    url,
    model: 'm',
    version: undefined,
    headers: {},
    timeoutMs: undefined,
    maxInFlight: 64,
    maxBatchSize: undefined,
    maxReplyBytes: 1024 * 1024,
    // Looks at the server are for tests about them.
    probeMs: 600_000,
    binary: undefined,
    batchAxis: undefined,
    signature: undefined,
    ...parts,
  }
  return fakeArtifact('far', 1, { backend: 'remote', remote })
}
