import { describe, expect, it } from 'vitest'
import { createCatalogue, type Method, openApiPath } from './catalogue.js'

const schema = { tags: ['x'], summary: 'x', response: {} } as const

function catalogue(...routes: [Method, string][]) {
  const made = createCatalogue()
  for (const [method, path] of routes) made.add({ method, path, schema, needs: 'viewer' })
  return made
}

describe('the catalogue', () => {
  it('knows the methods of a path, whatever its parameters and query are', () => {
    const { allowed } = catalogue(['GET', '/v2/models/{model}'], ['POST', '/v2/models/{model}/infer'])
    expect(allowed('/v2/models/fraud?x=/infer')).toEqual(['GET'])
    expect(allowed('/v2/models/fra%20ud/infer')).toEqual(['POST'])
    expect(allowed('/v2/models/fraud/')).toEqual(['GET'])
    expect(allowed('/v2/models')).toEqual([])
    expect(allowed('/v2/models/a/b/infer')).toEqual([])
  })

  it('joins the methods of all routes that a path matches, and those that need no description', () => {
    const made = catalogue(['GET', '/d/{id}'], ['DELETE', '/d/{id}'], ['PUT', '/d/verify'])
    made.allow('HEAD', '/d/{id}')
    expect(made.allowed('/d/verify')).toEqual(['DELETE', 'GET', 'HEAD', 'PUT'])
    expect(made.routes).toHaveLength(3)
  })

  it('tells a name from a name with a verb, and dots from anything', () => {
    const { allowed } = catalogue(
      ['GET', '/v1/models/{model}'],
      ['POST', '/v1/models/{model}:predict'],
      ['GET', '/a.json'],
    )
    expect(allowed('/v1/models/fraud')).toEqual(['GET'])
    expect(allowed('/v1/models/fraud:predict')).toEqual(['POST'])
    expect(allowed('/a.json')).toEqual(['GET'])
    expect(allowed('/aXjson')).toEqual([])
    expect(allowed('/')).toEqual([])
  })
})

describe('a path of Fastify', () => {
  it.each([
    ['/v2/models/:model/versions/:version', '/v2/models/{model}/versions/{version}'],
    ['/v1/models/:model(^[^:/]+$)', '/v1/models/{model}'],
    ['/', '/'],
  ])('%s is %s in OpenAPI', (fastify, openApi) => {
    expect(openApiPath(fastify)).toBe(openApi)
  })
})
