// The API: Fastify for everything that is not the hot path. It has no listener of its own; the HTTP server hands it requests.
import { type FastifyError, fastify } from 'fastify'
import type { TSchema } from 'typebox'
import type { ServerContext } from '../context.js'
import { feastRoutes } from '../feast/routes.js'
import { mlflowRoutes, mlflowUrl } from '../mlflow/routes.js'
import { JSON_TYPE } from '../reply.js'
import { readJsonBodies } from './bodies.js'
import { createCatalogue, type Method, openApiPath } from './catalogue.js'
import { chaosRoutes } from './chaos.js'
import { decisionRoutes } from './decisions.js'
import { docsRoutes } from './docs.js'
import { endpointRoutes } from './endpoints.js'
import { enforceAccess } from './enforce.js'
import { answerFailure, noSuchRoute } from './failures.js'
import { featureRoutes } from './features.js'
import { featureOnlineRoutes } from './features-online.js'
import { featureWorkRoutes } from './features-work.js'
import { gateRoutes } from './gates.js'
import { hotRoutes } from './hot-routes.js'
import { keyRoutes } from './keys.js'
import { kserveV1Routes } from './kserve-v1.js'
import { liveRoutes } from './live.js'
import { logRoutes } from './log.js'
import { modelFactRoutes } from './model-facts.js'
import { modelRoutes } from './models.js'
import { nodeRoutes } from './nodes.js'
import { notOfferedRoutes } from './not-offered.js'
import { oipRoutes } from './oip.js'
import { outcomeRoutes } from './outcomes.js'
import { predictionRoutes } from './predictions.js'
import { registryRoutes } from './registry.js'
import { registryByteRoutes, registryUploadRoutes } from './registry-uploads.js'
import { releaseRoutes } from './releases.js'
import { repositoryLoadRoutes, repositoryRoutes } from './repository.js'
import type { Api, Area, RouteSchema } from './route.js'
import { statusRoutes } from './status.js'
import { typesRoutes } from './types.js'
import { uploadRoutes } from './uploads.js'
import { compileValidator, type Part } from './validation.js'

const AREAS: readonly Area[] = [
  oipRoutes,
  modelFactRoutes,
  repositoryRoutes,
  repositoryLoadRoutes,
  notOfferedRoutes,
  kserveV1Routes,
  statusRoutes,
  modelRoutes,
  gateRoutes,
  releaseRoutes,
  uploadRoutes,
  registryRoutes,
  registryUploadRoutes,
  registryByteRoutes,
  endpointRoutes,
  predictionRoutes,
  outcomeRoutes,
  featureRoutes,
  featureOnlineRoutes,
  featureWorkRoutes,
  liveRoutes,
  logRoutes,
  decisionRoutes,
  nodeRoutes,
  keyRoutes,
  chaosRoutes,
  typesRoutes,
  feastRoutes,
  mlflowRoutes,
]

/** Longer paths do not fit into Node's limit for headers. */
const MAX_PARAM_LENGTH = 16 * 1024

/** Ready to be asked: `api.routing(request, response)` answers, `api.close()` ends it. */
export async function createApi(context: ServerContext): Promise<Api> {
  const catalogue = createCatalogue()
  for (const route of hotRoutes) {
    catalogue.add(route)
    if (route.method === 'GET') catalogue.allow('HEAD', route.path)
  }

  const api: Api = fastify({
    logger: false,
    rewriteUrl: ({ url = '/' }) => mlflowUrl(url),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH, ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply) => answerFailure(context, error, request, reply),
  })
  api.setValidatorCompiler(({ schema, httpPart }) => compileValidator(schema as TSchema, httpPart as Part))
  // Replies are plain data; Fastify's own serializer would drop what a schema leaves out.
  api.setSerializerCompiler(() => JSON.stringify)
  api.setErrorHandler<FastifyError>((error, request, reply) => answerFailure(context, error, request, reply))
  // Before the body is read: what is wrong with the path comes before what is wrong with the body.
  api.addHook('onRequest', async (request) => {
    if (request.is404) throw noSuchRoute(catalogue, request)
  })
  enforceAccess(api, context)
  // Fastify adds a charset, and KServe's client reads only exactly this.
  api.addHook('onSend', async (_request, reply) => {
    if (reply.getHeader('content-type') === 'application/json; charset=utf-8') reply.type(JSON_TYPE)
  })
  api.addHook('onRoute', ({ method, url, schema, config }) => {
    const path = openApiPath(url)
    if (method === 'HEAD') catalogue.allow(method, path)
    else {
      const needs = config?.needs ?? 'admin'
      catalogue.add({ method: method as Method, path, needs, schema: schema as unknown as RouteSchema })
    }
  })
  readJsonBodies(api, context)
  for (const area of AREAS) api.register(async (scope) => area(scope, context))
  api.register(async (scope) => docsRoutes(scope, context, catalogue))
  await api.ready()
  return api
}
