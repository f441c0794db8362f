// The feature definitions of a project: those of its configuration, and what the modules of its features folder export.
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { compileFeatures, type FeatureProject, isDefinition } from '../../features/index.js'
import { importModule } from '../import-module.js'

const MODULE = /(?<!\.d|\.test|\.test-d|\.bench)\.(ts|mts|js|mjs)$/

/** undefined: the project has none. Throws CONFIG_NOT_LOADABLE, FEATURE_DEFINITION_INVALID. */
export async function loadDefinitions(
  root: string,
  { folder, definitions }: { readonly folder: string; readonly definitions: readonly unknown[] },
): Promise<FeatureProject | undefined> {
  const found = [...definitions]
  for (const file of await modulesOf(path.resolve(root, folder))) {
    const exported = (await importModule(file, { default: false })) as Readonly<Record<string, unknown>>
    found.push(...Object.values(exported).flat().filter(isDefinition))
  }
  return found.length === 0 ? undefined : compileFeatures(found)
}

/** In the order of their names, so that every process finds the same. */
async function modulesOf(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return []
  const files = await readdir(folder, { recursive: true, withFileTypes: true })
  return files
    .filter((file) => file.isFile() && MODULE.test(file.name) && !file.parentPath.includes('node_modules'))
    .map((file) => path.join(file.parentPath, file.name))
    .sort()
}
