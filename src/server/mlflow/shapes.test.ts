import { describe, expect, it } from 'vitest'
import type { LoggedModel } from '../../tracking/index.js'
import { loggedModelShape } from './shapes.js'

const shapeWith = (tag: string) => {
  const model: LoggedModel = {
    ...{
      modelId: 'm-1',
      experimentId: '0',
      name: 'tree',
      modelType: '',
      sourceRunId: '',
      artifactUri: 'mlflow-artifacts:/0',
    },
    ...{ status: 'LOGGED_MODEL_READY', lifecycle: 'active', createdMs: 1, updatedMs: 1, params: [], metrics: [] },
    tags: [{ key: 'mlflow.modelVersions', value: tag }],
  }
  return (loggedModelShape(model) as { info: { registrations?: object[] } }).info.registrations
}

describe('loggedModelShape', () => {
  it('names the versions that the model was registered as', () => {
    expect(shapeWith('[{"name":"iris","version":"2"},{"name":"flowers","version":1}]')).toEqual([
      { name: 'iris', version: '2' },
      { name: 'flowers', version: '1' },
    ])
  })

  it('names none when a caller set the tag to something else', () => {
    for (const tag of ['', 'x', 'null', '[]', '{}', '[1]', '[{"name":"iris"}]', '[{"name":1,"version":1}]'])
      expect(shapeWith(tag), tag).toBeUndefined()
  })
})
