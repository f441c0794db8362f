// Loads a project's own TypeScript, without a build step.
import { ConfigErrors } from './errors.js'

/** Its default export, or all of them by name. Throws CONFIG_NOT_LOADABLE. */
export async function importModule(
  file: string,
  { default: isDefault }: { readonly default: boolean },
): Promise<unknown> {
  const { createJiti } = await import('jiti')
  // A project need not have installed the package it is served with: `headrace` there means what this process runs.
  const headrace = await import('./helpers.js')
  const jiti = createJiti(file, { virtualModules: { headrace }, moduleCache: false, fsCache: false })
  try {
    return await jiti.import(file, isDefault ? { default: true } : {})
  } catch (error) {
    throw ConfigErrors.NOT_LOADABLE({ file, problem: error instanceof Error ? error.message : String(error) }, error)
  }
}
