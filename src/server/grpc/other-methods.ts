// Every method but ModelInfer, by its path.
import { inferenceService } from '../../oip/index.js'
import type { ServerContext } from '../context.js'
import type { GrpcMethod } from './call.js'
import { describeMethods } from './describe.js'
import { healthMethods } from './health.js'
import { repositoryMethods } from './repository.js'
import { streamInferMethod } from './stream-infer.js'
import { unsupportedMethods } from './unsupported.js'

export function otherMethods(context: ServerContext): ReadonlyMap<string, GrpcMethod> {
  const methods: GrpcMethod[] = [
    { ...streamInferMethod(context), path: inferenceService.ModelStreamInfer.path },
    ...describeMethods(context),
    ...repositoryMethods(context),
    ...healthMethods(context),
    ...unsupportedMethods(context),
  ]
  return new Map(methods.map((method) => [method.path, method]))
}
