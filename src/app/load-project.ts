// Finds and loads what the user pointed at: a project folder, a models folder or one .onnx file. No build step: jiti reads the TypeScript.
import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import type { z } from 'zod'
import type { FeatureProject } from '../features/index.js'
import { withEnvironment } from './environment.js'
import { ConfigErrors, type ConfigProblem } from './errors.js'
import { loadDefinitions } from './features/load-definitions.js'
import { importModule } from './import-module.js'
import { type ProjectConfig, projectSchema } from './project.js'

export interface LoadedProject {
  readonly config: ProjectConfig
  /** Absolute; relative paths of the configuration start here. */
  readonly root: string
  /** The configuration file, if there is one. */
  readonly file: string | undefined
  /** Where models come from. */
  readonly models:
    | { readonly kind: 'folder'; readonly folder: string }
    | { readonly kind: 'file'; readonly file: string }
  /** Absolute path of the data folder. */
  readonly dataDir: string
  /** What is defined of features; undefined without any. It holds functions, so it does not cross to other processes. */
  readonly features?: FeatureProject | undefined
}

export interface LoadOptions {
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** What command-line flags set, over everything else: `{ server: { port: 9000 } }`. */
  readonly overrides?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

const CONFIG_FILES = ['headrace.config.ts', 'headrace.config.mts', 'headrace.config.js', 'headrace.config.mjs']

/** Throws CONFIG_INVALID, CONFIG_NOT_LOADABLE or CONFIG_NOTHING_TO_SERVE. */
export async function loadProject(target: string, options: LoadOptions = {}): Promise<LoadedProject> {
  const at = path.resolve(target)
  const info = await stat(at).catch(() => undefined)
  if (!info) throw ConfigErrors.NOTHING_TO_SERVE({ path: at, found: 'there is no such file or folder' })
  if (info.isFile()) {
    if (CONFIG_FILES.includes(path.basename(at))) return fromConfig(path.dirname(at), at, options)
    if (!at.endsWith('.onnx')) throw ConfigErrors.NOTHING_TO_SERVE({ path: at, found: 'the file is not an .onnx file' })
    return fromDefaults(process.cwd(), { kind: 'file', file: at }, options)
  }
  const file = CONFIG_FILES.map((name) => path.join(at, name)).find((candidate) => existsSync(candidate))
  if (file) return fromConfig(at, file, options)
  if (existsSync(path.join(at, 'models')))
    return fromDefaults(at, { kind: 'folder', folder: path.join(at, 'models') }, options)
  if (await holdsModels(at)) return fromDefaults(process.cwd(), { kind: 'folder', folder: at }, options)
  // A project that begins: what it serves is pushed to it.
  if (await isBlank(at)) return fromDefaults(at, { kind: 'folder', folder: path.join(at, 'models') }, options)
  throw ConfigErrors.NOTHING_TO_SERVE({
    path: at,
    found: 'the folder has no headrace.config.ts, no models folder and no <name>/<version>/model.onnx',
  })
}

async function holdsModels(folder: string): Promise<boolean> {
  for (const model of await readdir(folder, { withFileTypes: true })) {
    if (!model.isDirectory() || model.name.startsWith('.')) continue
    const versions = await readdir(path.join(folder, model.name)).catch(() => [])
    if (versions.some((name) => /^[1-9]\d*$/.test(name))) return true
  }
  return false
}

/** Nothing in it but what begins with a dot, such as the data folder. */
async function isBlank(folder: string): Promise<boolean> {
  return (await readdir(folder)).every((name) => name.startsWith('.'))
}

async function fromConfig(root: string, file: string, options: LoadOptions): Promise<LoadedProject> {
  const config = check(await importConfig(file), path.relative(process.cwd(), file) || file, options)
  return finish(root, file, config, { kind: 'folder', folder: path.resolve(root, config.models.folder) })
}

async function fromDefaults(
  root: string,
  models: LoadedProject['models'],
  options: LoadOptions,
): Promise<LoadedProject> {
  return finish(root, undefined, check({}, 'the settings given by flags and environment', options), models)
}

async function finish(
  root: string,
  file: string | undefined,
  config: ProjectConfig,
  models: LoadedProject['models'],
): Promise<LoadedProject> {
  const features = file === undefined ? undefined : await loadDefinitions(root, config.features)
  // Once compiled they are of no more use there, and the configuration is plain data.
  const plain = { ...config, features: { ...config.features, definitions: [] } }
  return { config: plain, root, file, models, dataDir: path.resolve(root, config.store.dataDir), features }
}

/** The definitions again, in a process that was handed a loaded project. Throws what `loadProject` does. */
export async function withDefinitions(project: LoadedProject): Promise<LoadedProject> {
  if (project.file === undefined) return project
  const written = (await importConfig(project.file))['features'] as { definitions?: readonly unknown[] } | undefined
  const { folder } = project.config.features
  const features = await loadDefinitions(project.root, { folder, definitions: written?.definitions ?? [] })
  return { ...project, features }
}

async function importConfig(file: string): Promise<Record<string, unknown>> {
  const loaded = await importModule(file, { default: true })
  if (typeof loaded !== 'object' || loaded === null || Array.isArray(loaded))
    throw ConfigErrors.NOT_LOADABLE({
      file,
      problem: 'its default export is not a project. Write "export default defineProject({ … })".',
    })
  return loaded as Record<string, unknown>
}

function check(project: Record<string, unknown>, file: string, options: LoadOptions): ProjectConfig {
  const environment = withEnvironment(project, options.environment ?? {})
  let merged = environment.project
  for (const [section, values] of Object.entries(options.overrides ?? {}))
    merged = { ...merged, [section]: { ...(merged[section] as object | undefined), ...values } }
  const parsed = projectSchema.safeParse(merged, { reportInput: true })
  const problems = [...environment.problems, ...(parsed.success ? [] : parsed.error.issues.map(toProblem))]
  if (problems.length > 0 || !parsed.success) throw ConfigErrors.INVALID({ file, problems })
  return parsed.data
}

/** The path in the file, what is wrong, and the value that arrived. */
function toProblem(issue: z.core.$ZodIssue): ConfigProblem {
  const where = issue.path.map(String).join('.') || '(the whole configuration)'
  if (issue.code === 'unrecognized_keys')
    return {
      path: where,
      problem: `unknown ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}; remove it or look up the name in docs/configuration.md`,
    }
  const arrived =
    'input' in issue && issue.input !== undefined && typeof issue.input !== 'function'
      ? ` (arrived: ${excerpt(issue.input)})`
      : ''
  return { path: where, problem: `${issue.message}${arrived}` }
}

function excerpt(value: unknown): string {
  // Addresses of engines hold passwords.
  const text = (JSON.stringify(value) ?? String(value)).replace(/:\/\/[^/"\s]*@/g, '://…@')
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}
