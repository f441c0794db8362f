// An ONNX model as a version on disk, in a folder that goes away with the test.
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Digest } from '../../src/core/index.js'
import type { VersionArtifact } from '../../src/tensor/index.js'
import { fakeArtifact, fakeManifest } from './fake-backend.js'
import { tempFolder } from './temp-folder.js'

export interface OnnxArtifactParts {
  readonly model?: string
  readonly version?: number
  readonly manifest?: Parameters<typeof fakeManifest>[0]
}

export function onnxArtifact(bytes: Uint8Array, parts: OnnxArtifactParts = {}): VersionArtifact {
  const file = join(tempFolder(), 'model.onnx')
  writeFileSync(file, bytes)
  return fakeArtifact(parts.model ?? 'fraud', parts.version ?? 1, {
    backend: 'onnx',
    file,
    digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest,
    sizeBytes: bytes.length,
    manifest: fakeManifest(parts.manifest),
  })
}
