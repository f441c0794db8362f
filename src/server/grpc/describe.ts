// What the server and its models are, and whether they answer: as over HTTP.
import { platformOf } from '../../app/index.js'
import { type HeadraceError, toHeadraceError } from '../../core/index.js'
import { inferenceService } from '../../oip/index.js'
import type { TensorSpec } from '../../tensor/index.js'
import { packageVersion } from '../api/package-version.js'
import type { ServerContext } from '../context.js'
import { awake, destination, expectReady } from '../predict/request.js'
import type { PredictTarget } from '../target.js'
import type { GrpcMethod } from './call.js'
import { unary } from './unary.js'
import { versionNumber } from './version.js'

/** As over HTTP, but for the tensors that gRPC has in its messages anyway. */
const EXTENSIONS = [
  'classification',
  'model_configuration',
  'model_repository',
  'model_repository(unload_dependents)',
  'schedule_policy',
  'statistics',
]

/** By the name in the message; a message without one asks for a model that is not there. */
const SEE_MODEL = { needs: 'see', on: ({ name }: { readonly name: string }) => name } as const

export function describeMethods(context: ServerContext): GrpcMethod[] {
  const { app, closing } = context
  return [
    unary(context, inferenceService.ServerLive, 'open', () => ({ live: true })),
    unary(context, inferenceService.ServerReady, 'open', () => ({ ready: app.isReady() && !closing.aborted })),
    // As Triton: a model that nobody knows is not ready.
    unary(context, inferenceService.ModelReady, SEE_MODEL, async ({ name, version }) => ({
      ready: (await unreadiness(context, name, version)) === undefined,
    })),
    unary(context, inferenceService.ServerMetadata, { needs: 'see' }, () => ({
      name: 'headrace',
      version: packageVersion,
      extensions: [...EXTENSIONS],
    })),
    unary(context, inferenceService.ModelMetadata, SEE_MODEL, async ({ name, version }) => {
      const target = targetOf(name, version)
      await awake(context, target)
      const { reference } = destination(context, target)
      const { kind, signature, ref } = reference
      return {
        name,
        versions: app.pool
          .statuses()
          .filter((status) => status.ref.model === ref.model && status.state === 'ready')
          .map((status) => String(status.ref.version)),
        platform: platformOf(kind),
        inputs: signature.inputs.map(describe),
        outputs: signature.outputs.map(describe),
      }
    }),
  ]
}

export function targetOf(name: string, version: string): PredictTarget {
  return { protocol: 'oip', name, version: versionNumber(version) }
}

async function unreadiness(context: ServerContext, name: string, version: string): Promise<HeadraceError | undefined> {
  try {
    const target = targetOf(name, version)
    await awake(context, target)
    expectReady(context, target)
    return undefined
  } catch (error) {
    return toHeadraceError(error)
  }
}

function describe({ name, datatype, shape }: TensorSpec) {
  return { name, datatype, shape: shape.map(BigInt) }
}
