// RPCs of Triton's that this server has no use for. Asking for their state is answered, so that tools which look at everything
// go on; changing it is refused.
import { inferenceService, type Method } from '../../oip/index.js'
import type { ServerContext } from '../context.js'
import type { GrpcMethod } from './call.js'
import { GrpcErrors } from './errors.js'
import { unary } from './unary.js'

const SEE = { needs: 'see' } as const
const MEMORY = 'tensors are taken from the message and not from memory shared with the client'
const SETTINGS = 'it is set in the configuration of the server'

export function unsupportedMethods(context: ServerContext): GrpcMethod[] {
  const s = inferenceService
  return [
    unary(context, s.SystemSharedMemoryStatus, SEE, () => ({ regions: new Map() })),
    unary(context, s.CudaSharedMemoryStatus, SEE, () => ({ regions: new Map() })),
    refused(context, s.SystemSharedMemoryRegister, MEMORY),
    refused(context, s.CudaSharedMemoryRegister, MEMORY),
    // Clients unregister everything before they begin.
    unary(context, s.SystemSharedMemoryUnregister, SEE, () => ({})),
    unary(context, s.CudaSharedMemoryUnregister, SEE, () => ({})),
    unary(context, s.TraceSetting, SEE, ({ settings }) => {
      if (settings.size > 0) throw unsupported(s.TraceSetting, SETTINGS)
      return { settings: new Map() }
    }),
    unary(context, s.LogSettings, SEE, ({ settings }) => {
      if (settings.size > 0) throw unsupported(s.LogSettings, SETTINGS)
      return { settings: new Map() }
    }),
  ]
}

function refused<Request, Response>(
  context: ServerContext,
  method: Method<Request, Response>,
  reason: string,
): GrpcMethod {
  return unary(context, method, SEE, () => {
    throw unsupported(method, reason)
  })
}

function unsupported({ path }: { readonly path: string }, reason: string): Error {
  return GrpcErrors.METHOD_UNSUPPORTED({ method: path.slice(path.lastIndexOf('/') + 1), reason })
}
