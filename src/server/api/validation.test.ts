import Type, { type TSchema } from 'typebox'
import { describe, expect, it } from 'vitest'
import type { HeadraceError } from '../../core/index.js'
import { compileValidator, type Part } from './validation.js'

const Route = Type.Object(
  {
    model: Type.String({ minLength: 1, maxLength: 5 }),
    version: Type.Union([
      Type.Integer({ minimum: 1 }),
      Type.Literal('latest'),
      Type.Object({ alias: Type.String() }, { additionalProperties: false }),
    ]),
    tags: Type.Optional(Type.Array(Type.Enum(['a', 'b']))),
  },
  { additionalProperties: false },
)

function check(schema: TSchema, part: Part, data: unknown): { value?: unknown; error?: HeadraceError } {
  return compileValidator(schema, part)(data)
}

describe('a body', () => {
  it('that fits is left as it is', () => {
    const body = { model: 'fraud', version: { alias: 'champion' } }
    expect(check(Route, 'body', body)).toEqual({ value: body })
  })

  it.each<[unknown, string]>([
    [undefined, '"model" must be there, but nothing arrived'],
    [null, '"model" must be there, but nothing arrived'],
    [[], 'the body must be an object, but [] arrived'],
    ['text', 'the body must be an object, but "text" arrived'],
    [{ model: 'fraud' }, '"version" must be there, but nothing arrived'],
    [{ model: 7, version: 1 }, '"model" must be a string, but 7 arrived'],
    [{ model: '', version: 1 }, '"model" must be not empty, but "" arrived'],
    [{ model: 'frauds', version: 1 }, '"model" must be at most 5 characters long, but "frauds" arrived'],
    [{ model: 'fraud', version: 0 }, '"version" must be at least 1 or "latest" or an object, but 0 arrived'],
    [{ model: 'fraud', version: '1' }, '"version" must be an integer or "latest" or an object, but "1" arrived'],
    [
      { model: 'fraud', version: {} },
      '"version" must be an integer or "latest" or an object with "alias", but {} arrived',
    ],
    [{ model: 'fraud', version: 1, tags: ['c'] }, '"tags.0" must be one of "a", "b", but "c" arrived'],
    [{ model: 'fraud', version: 1, wait: true }, '"wait" must be left out (it is unknown here), but it arrived'],
    [JSON.parse('{"model": "fraud", "version": 1, "__proto__": {}}'), '"__proto__" must be left out'],
  ])('%j is refused', (body, problem) => {
    const { error } = check(Route, 'body', body)
    expect(error).toMatchObject({ code: 'HTTP_BODY_INVALID', status: 400 })
    expect(error?.message).toContain(problem)
    expect(error?.message.length).toBeLessThan(300)
  })

  it('that lacks what each alternative of a union needs names all of them, and an empty list is said to be one', () => {
    const items = { items: Type.Array(Type.Integer(), { minItems: 1, maxItems: 2 }) }
    const either = Type.Union([
      Type.Object({ service: Type.String(), ...items }),
      Type.Object({ features: Type.String(), ...items }),
    ])
    const told = (body: unknown) => check(either, 'body', body).error?.message
    expect(told({ items: [1] })).toContain('"service" or "features" must be there, but nothing arrived')
    const list = (body: unknown) => check(Type.Object(items), 'body', body).error?.message
    expect(list({ items: [] })).toContain('"items" must be a list that is not empty, but [] arrived')
    expect(list({ items: [1, 2, 3] })).toContain('"items" must be a list of at most 2, but [1,2,3] arrived')
  })
})

describe('a query', () => {
  const Query = Type.Object(
    {
      limit: Type.Optional(Type.Integer({ minimum: 1 })),
      all: Type.Optional(Type.Boolean()),
      name: Type.Optional(Type.String()),
    },
    { additionalProperties: false },
  )

  it('is read as what the schema calls it, and otherwise stays text', () => {
    expect(check(Query, 'querystring', { limit: '10', all: 'true', name: '10' })).toEqual({
      value: { limit: 10, all: true, name: '10' },
    })
  })

  it.each([
    { limit: 'ten' },
    { limit: '' },
    { limit: '1.5' },
    { limit: '1e3' },
    { limit: ['1', '2'] },
    { all: 'yes' },
    { page: '1' },
  ])('%j is refused', (query) => {
    expect(check(Query, 'querystring', query).error).toMatchObject({ code: 'HTTP_PARAMETER_INVALID', status: 400 })
  })
})
