// The servers of one metadata store, as each reports itself.
import Type from 'typebox'
import type { ServerContext } from '../context.js'
import type { Api } from './route.js'
import { mapOf } from './schemas.js'

const Node = Type.Object({
  id: Type.String({ description: 'Kept in its data folder, whatever its address' }),
  name: Type.String({ description: "The host's name" }),
  url: Type.Unsafe({ type: ['string', 'null'], description: 'Where it listens; null when it does not' }),
  version: Type.String({ description: 'Of Headrace' }),
  isSelf: Type.Boolean({ description: 'It is the one that answers' }),
  isGone: Type.Boolean({ description: 'It has not reported for 15 seconds: it was killed, or is cut off' }),
  startedMs: Type.Integer(),
  reportedAgoMs: Type.Integer({ description: "By the metadata store's clock" }),
  decision: Type.Integer({ description: 'Number of the last decision that it follows' }),
  processes: Type.Array(
    Type.Object({ pid: Type.Integer(), parts: mapOf(Type.Unknown(), 'url, versions: what parts of it report') }),
  ),
})

export function nodeRoutes(api: Api, { app }: ServerContext): void {
  api.get(
    '/api/v1/nodes',
    {
      schema: {
        tags: ['Server'],
        summary: 'The servers of this metadata store',
        response: { 200: Type.Object({ nodes: Type.Array(Node) }) },
      },
    },
    async () => ({ nodes: await app.services.nodes.list() }),
  )
}
