import { describe, expect, it } from 'vitest'
import { type ProjectInput, projectSchema } from '../project.js'
import { shareOf } from './share.js'

async function shared(server: ProjectInput['server']) {
  const models = { kind: 'folder', folder: '/models' } as const
  const project = { config: projectSchema.parse({ server }), root: '/', file: undefined, models, dataDir: '/data' }
  return (await shareOf(project)).config.server
}

describe('the share of a worker', () => {
  it('has the same two ports for all workers when any will do', async () => {
    const { port, grpcPort } = await shared({ port: 0, processes: 2 })
    expect(port).toBeGreaterThan(0)
    expect(grpcPort).toBeGreaterThan(0)
    expect(grpcPort).not.toBe(port)
  })

  it('keeps ports that are given, and no gRPC where none is wanted', async () => {
    expect(await shared({ port: 9000 })).toMatchObject({ port: 9000, grpcPort: 9001 })
    expect(await shared({ port: 9000, grpcPort: 7000 })).toMatchObject({ grpcPort: 7000 })
    expect(await shared({ port: 0, grpcPort: false })).toMatchObject({ grpcPort: false })
  })

  it('divides the bounds of the server', async () => {
    expect((await shared({ processes: 4, maxInFlight: 10 })).maxInFlight).toBe(3)
  })
})
