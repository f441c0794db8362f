// RPCs of Triton's that this server has no use for. Asking for their state is answered, so that tools which look at everything
// go on; changing it is refused.
import { inferenceService, type Method } from '../../oip/index.js'
import type { GrpcMethod } from './call.js'
import { GrpcErrors } from './errors.js'
import { unary } from './unary.js'

const MEMORY = 'tensors are taken from the message and not from memory shared with the client'
const SETTINGS = 'it is set in the configuration of the server'

export function unsupportedMethods(): GrpcMethod[] {
  const s = inferenceService
  return [
    unary(s.SystemSharedMemoryStatus, () => ({ regions: new Map() })),
    unary(s.CudaSharedMemoryStatus, () => ({ regions: new Map() })),
    refused(s.SystemSharedMemoryRegister, MEMORY),
    refused(s.CudaSharedMemoryRegister, MEMORY),
    // Clients unregister everything before they begin.
    unary(s.SystemSharedMemoryUnregister, () => ({})),
    unary(s.CudaSharedMemoryUnregister, () => ({})),
    unary(s.TraceSetting, ({ settings }) => {
      if (settings.size > 0) throw unsupported(s.TraceSetting, SETTINGS)
      return { settings: new Map() }
    }),
    unary(s.LogSettings, ({ settings }) => {
      if (settings.size > 0) throw unsupported(s.LogSettings, SETTINGS)
      return { settings: new Map() }
    }),
  ]
}

function refused<Request, Response>(method: Method<Request, Response>, reason: string): GrpcMethod {
  return unary(method, () => {
    throw unsupported(method, reason)
  })
}

function unsupported({ path }: { readonly path: string }, reason: string): Error {
  return GrpcErrors.METHOD_UNSUPPORTED({ method: path.slice(path.lastIndexOf('/') + 1), reason })
}
