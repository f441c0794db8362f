import { createWriteStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { ADA, exampleModel, openTestRegistry } from '../../../test/support/registry.js'
import { exportVersion, importVersion, type PackagesOptions } from './packages.js'
import { openSigning } from './signing.js'
import { tarHeader } from './tar.js'

async function place() {
  const test = await openTestRegistry()
  const signing = await openSigning(join(test.folder, 'signing-key.pem'), test.platform)
  const options: PackagesOptions = { ...test, signing }
  const file = join(test.folder, 'package.tar')
  return {
    ...test,
    signing,
    options,
    async exported(ref: string) {
      const { content } = await exportVersion(options, ref)
      await pipeline(content, createWriteStream(file))
      return readFile(file)
    },
    async imported(bytes: Uint8Array, more: { trust?: string[]; as?: string; insecureUnsigned?: boolean } = {}) {
      await writeFile(file, bytes)
      return importVersion(options, { file, scratch: join(test.folder, 'scratch'), trust: [], by: ADA, ...more })
    },
  }
}

async function fraudPackage() {
  const source = await place()
  await source.register(
    'Fraud modèle',
    { 'model/model.onnx': await exampleModel('fraud', 1), 'model/notes.txt': 'notes' },
    {
      metrics: { auc: 0.9, bad: Number.NaN },
      lineage: { runId: 'r1' },
      card: '# Card',
      tags: { a: 'b' },
      owner: 'ada',
    },
  )
  return { source, bytes: await source.exported('Fraud modèle@1') }
}

describe('a version as one file', () => {
  it('arrives elsewhere with all that is known of it and where it came from', async () => {
    const { source, bytes } = await fraudPackage()
    const target = await place()
    const trust = [source.signing.signer]
    const { version, isNew } = await target.imported(bytes, { trust })
    const original = await source.registry.describe('Fraud modèle@1')
    expect(isNew).toBe(true)
    expect(version).toMatchObject({
      files: original.files,
      digest: original.digest,
      metrics: original.metrics,
      card: '# Card',
      tags: { a: 'b' },
      owner: 'ada',
      isServable: true,
      lineage: { runId: 'r1', importedFrom: { model: 'Fraud modèle', version: 1, signer: source.signing.signer } },
    })
    expect(await target.imported(bytes, { trust })).toMatchObject({ isNew: false, version: { version: 1 } })
    expect((await target.imported(bytes, { trust, as: 'other' })).version.model).toBe('other')
  })

  it('is refused when nobody trusts its signer', async () => {
    const { source, bytes } = await fraudPackage()
    const target = await place()
    await expect(target.imported(bytes)).rejects.toMatchObject({
      code: 'REGISTRY_PACKAGE_SIGNER_UNKNOWN',
      message: expect.stringContaining(`--trust ${source.signing.signer}`) as string,
    })
    await expect(target.imported(bytes, { insecureUnsigned: true })).rejects.toMatchObject({
      code: 'REGISTRY_PACKAGE_SIGNER_UNKNOWN',
    })
    expect(await target.registry.listModels()).toEqual([])
  })

  it('is refused when a single byte of it was changed, wherever that is', async () => {
    const { source, bytes } = await fraudPackage()
    const target = await place()
    const trust = [source.signing.signer]
    // Every byte of the headers, some of everything else.
    const positions = Array.from({ length: bytes.length }, (_, i) => i).filter((i) => i % 37 === 0 || i % 1024 < 8)
    for (const position of positions) {
      const changed = Buffer.from(bytes)
      changed[position] = changed[position]! ^ (1 << (position % 8))
      await expect(target.imported(changed, { trust }), `byte ${position}`).rejects.toMatchObject({
        code: expect.stringMatching(/^REGISTRY_PACKAGE_/) as string,
      })
    }
    for (const changed of [bytes.subarray(0, -1), bytes.subarray(0, 3000), Buffer.concat([bytes, Buffer.alloc(512)])])
      await expect(target.imported(changed, { trust })).rejects.toMatchObject({ code: 'REGISTRY_PACKAGE_INVALID' })
    expect(await target.registry.listModels()).toEqual([])
  })

  it('without a signature is taken only by who insists', async () => {
    const { bytes } = await fraudPackage()
    const target = await place()
    const manifestEnd = 512 + Math.ceil(Number.parseInt(bytes.toString('ascii', 124, 135), 8) / 512) * 512
    const unsigned = Buffer.concat([bytes.subarray(0, manifestEnd), bytes.subarray(manifestEnd + 1024)])
    await expect(target.imported(unsigned)).rejects.toMatchObject({ code: 'REGISTRY_PACKAGE_UNSIGNED' })
    expect(await target.imported(unsigned, { insecureUnsigned: true })).toMatchObject({ isNew: true })
  })

  it('signs with one key for good', async () => {
    const { folder, platform, signing } = await place()
    const again = await Promise.all(
      [1, 2, 3].map(() => openSigning(join(folder, 'signing-key.pem'), platform).then(({ signer }) => signer)),
    )
    expect(new Set([...again, signing.signer]).size).toBe(1)
    const made = await Promise.all([1, 2, 3].map(() => openSigning(join(folder, 'new.pem'), platform)))
    expect(new Set(made.map(({ signer }) => signer)).size).toBe(1)
  })

  it('has headers for files beyond 8 GiB', () => {
    expect(tarHeader('a', 2 ** 40).readBigUInt64BE(128)).toBe(2n ** 40n)
  })
})
