import { describe, expect, it } from 'vitest'
import { type EndpointConfig, endpointSchema } from '../path/index.js'
import { fallback, lastKnown, version } from '../route/index.js'
import { createEndpoints } from './endpoints.js'

const route = fallback({ name: 'safe', arms: [version('fraud', 1), lastKnown()] })

const declare = (more: object) => {
  const endpoint: EndpointConfig = endpointSchema.parse({ route, ...more })
  return () => createEndpoints({ fraud: endpoint }, { get: () => undefined } as never)
}

describe('an endpoint that is declared', () => {
  it('is refused when its route gives last known answers and nothing keeps them', () => {
    expect(declare({})).toThrow(/not usable at endpoints\.fraud: lastKnown\(\) has nothing to give/)
    expect(declare({ cache: { staleMs: 0 } })).toThrow(/lastKnown\(\) has nothing to give/)
  })

  it('is taken when its cache keeps them', () => {
    expect(declare({ cache: {} })().get('fraud').route.hasLastKnown).toBe(true)
  })
})
