// Who makes a change. Until keys exist a caller says it in a header, which proves nothing: the server listens on loopback only.
import Type, { type Static } from 'typebox'
import type { Actor } from '../../decisions/index.js'

export const ActorHeaders = Type.Object({
  'headrace-actor': Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e][\\x20-\\x7e]{0,127}$',
      description: 'Your name, for the record of the decision; default "anonymous"',
      examples: ['anna'],
    }),
  ),
})

export function actorOf(headers: Static<typeof ActorHeaders>): Actor {
  return { kind: 'person', name: headers['headrace-actor']?.replace(/^person:/, '') || 'anonymous' }
}
