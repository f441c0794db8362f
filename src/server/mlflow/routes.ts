// MLflow's REST API, for its clients with MLFLOW_TRACKING_URI=http://host:8080/mlflow. The UI's /ajax-api is the same (see `mlflowUrl`).
import Type from 'typebox'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { artifactListRoute, artifactRoutes } from './artifact-routes.js'
import { readMlflowBodies } from './bodies.js'
import { answerAsMlflow } from './failures.js'
import { loggedModelRoutes } from './model-routes.js'
import { registryRoutes } from './registry-routes.js'
import { TAGS } from './route.js'
import { trackingRoutes } from './tracking-routes.js'
import { uploadPartRoutes, uploadRoutes } from './upload-routes.js'

/** What clients compare their own with: the newest whose calls are all answered. */
const VERSION = '3.17.2'

export function mlflowRoutes(api: Api, context: ServerContext): void {
  answerAsMlflow(api, context)
  api.register(async (scope) => {
    readMlflowBodies(scope, context)
    trackingRoutes(scope, context)
    loggedModelRoutes(scope, context)
    registryRoutes(scope, context)
    artifactListRoute(scope, context)
    uploadRoutes(scope, context)
  })
  api.register(async (scope) => {
    artifactRoutes(scope, context)
    uploadPartRoutes(scope, context)
  })
  for (const [path, answer, summary] of [
    ['/mlflow/health', 'OK', 'Whether the server answers'],
    ['/mlflow/version', VERSION, 'The version of MLflow whose API this is'],
  ] as const)
    api.get(
      path,
      {
        schema: { tags: TAGS, summary, produces: 'text/plain', response: { 200: Type.String() } },
        config: { needs: 'open' },
      },
      async (_request, reply) => reply.type('text/plain').send(answer),
    )
}

/** The UI's prefix means the same routes. */
export function mlflowUrl(url: string): string {
  return url.startsWith('/mlflow/ajax-api/') ? `/mlflow/api/${url.slice('/mlflow/ajax-api/'.length)}` : url
}
