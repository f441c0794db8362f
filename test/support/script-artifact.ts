// A script as a version on disk, in a folder that goes away with the test.
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Digest } from '../../src/core/index.js'
import type { VersionArtifact } from '../../src/tensor/index.js'
import { fakeArtifact, fakeManifest } from './fake-backend.js'
import { tempFolder } from './temp-folder.js'

export function scriptArtifact(
  source: string,
  manifest?: Parameters<typeof fakeManifest>[0],
  name = 'model.ts',
): VersionArtifact {
  const file = join(tempFolder(), name)
  writeFileSync(file, source)
  return fakeArtifact('rule', 1, {
    backend: 'script',
    file,
    digest: `sha256:${createHash('sha256').update(source).digest('hex')}` as Digest,
    sizeBytes: source.length,
    manifest: fakeManifest(manifest),
  })
}
