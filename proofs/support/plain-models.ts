// The shop's models but for the versions that need its features, of which requests that bring everything know nothing.
import { cp } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { FEATURE_VERSIONS } from '../../test/support/shop.js'

const MODELS = fileURLToPath(new URL('../../examples/shop/models', import.meta.url))

export async function copyPlainModels(folder: string): Promise<void> {
  const isPlain = (source: string): boolean => !FEATURE_VERSIONS.some((version) => source.endsWith(`/${version}`))
  await cp(MODELS, folder, { recursive: true, filter: isPlain })
}
