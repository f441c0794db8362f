// The real server on a free port, with the shop's models and a data folder of its own.
import { readdirSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { type App, createApp, type LoadedProject, loadProject } from '../../src/app/index.js'
import { createPlatform, type Platform } from '../../src/core/index.js'
import type { FeatureReader } from '../../src/features/index.js'
import { startServer } from '../../src/server/index.js'
import { FEATURE_VERSIONS } from './shop.js'

export interface TestServer {
  readonly url: string
  readonly port: number
  /** `127.0.0.1:41234` */
  readonly grpcAddress: string
  readonly app: App
  readonly project: LoadedProject
  /** Models can be added here. */
  readonly modelsFolder: string
  close(): Promise<void>
}

export interface TestServerOptions {
  /** An empty folder; it is the caller's to remove. */
  readonly folder: string
  /** Models of the shop to serve; default all but the demand models, which are many. */
  readonly models?: readonly string[]
  /** Sections of the configuration. */
  readonly config?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly platform?: Partial<Platform>
  /** Made on the server's platform; default: the project's own. */
  readonly features?: (platform: Platform) => FeatureReader
  /** Called when the server listens and before the models are loaded. */
  readonly beforeStart?: (url: string) => Promise<void>
}

const SHOP_MODELS = join(import.meta.dirname, '../../examples/shop/models')
const DEFAULT_MODELS = readdirSync(SHOP_MODELS).filter((model) => !model.startsWith('demand-'))

export async function startTestServer(options: TestServerOptions): Promise<TestServer> {
  const modelsFolder = join(options.folder, 'models')
  await cp(SHOP_MODELS, modelsFolder, {
    recursive: true,
    filter: (source) =>
      source === SHOP_MODELS ||
      (!FEATURE_VERSIONS.some((version) => source.startsWith(join(SHOP_MODELS, version))) &&
        (options.models ?? DEFAULT_MODELS).some((model) => `${source}/`.startsWith(`${join(SHOP_MODELS, model)}/`))),
  })
  const project = await loadProject(options.folder, {
    overrides: {
      ...options.config,
      server: { port: 0, logLevel: 'silent', ...options.config?.['server'] },
      // The models have been copied completely, and so have those that tests push.
      models: { settleMs: 0, ...options.config?.['models'] },
    },
  })
  const platform = createPlatform(options.platform)
  const app = await createApp(project, platform, options.features ? { features: options.features(platform) } : {})
  const server = await startServer(app).catch(async (error) => {
    await app.close()
    throw error
  })
  await options.beforeStart?.(server.url)
  await app.start()
  return {
    url: server.url,
    port: Number(new URL(server.url).port),
    grpcAddress: server.grpcAddress ?? '',
    app,
    project,
    modelsFolder,
    close: () => server.close(),
  }
}
