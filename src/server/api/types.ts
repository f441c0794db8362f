// The TypeScript types of the endpoints, for the typed client.
import Type from 'typebox'
import { endpointViews } from '../../app/index.js'
import { generateTypes } from '../../client/index.js'
import type { ServerContext } from '../context.js'
import { isShown } from './enforce.js'
import type { Api } from './route.js'

export function typesRoutes(api: Api, { app }: ServerContext): void {
  api.get(
    '/api/v1/types',
    {
      schema: {
        tags: ['Endpoints'],
        summary: 'TypeScript types of every endpoint, for createClient',
        produces: 'text/plain',
        response: { 200: Type.String() },
      },
    },
    (request, reply) => {
      const shown = endpointViews(app).filter(({ name }) => isShown(request, name))
      return reply.type('text/plain; charset=utf-8').send(generateTypes(shown))
    },
  )
}
