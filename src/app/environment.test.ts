import { describe, expect, it } from 'vitest'
import { withEnvironment } from './environment.js'

describe('a setting that is a number or false', () => {
  it.each([
    ['0', 0],
    ['8081', 8081],
    ['false', false],
  ])('takes %s from the environment', (text, value) => {
    const { project, problems } = withEnvironment({}, { HEADRACE_SERVER_GRPC_PORT: text })
    expect(problems).toEqual([])
    expect(project).toEqual({ server: { grpcPort: value } })
  })

  it('reports anything else', () => {
    const { problems } = withEnvironment({}, { HEADRACE_SERVER_GRPC_PORT: 'off' })
    expect(problems).toEqual([{ path: 'HEADRACE_SERVER_GRPC_PORT', problem: 'expected integer | boolean, got "off"' }])
  })
})
