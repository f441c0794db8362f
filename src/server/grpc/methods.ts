// Every method that the server has, by its path. The messages of all but inference are generated code, a thirtieth of a second to
// import that no prediction has to wait for: they come with the first call of another method, or when `load` is called.
import type { ServerContext } from '../context.js'
import type { GrpcMethod } from './call.js'
import { inferMethod } from './infer.js'

const INFER = '/inference.GRPCInferenceService/ModelInfer'

export class Methods {
  readonly #infer: GrpcMethod
  #others: ReadonlyMap<string, GrpcMethod> | undefined
  #loading: Promise<void> | undefined

  constructor(private readonly context: ServerContext) {
    this.#infer = { ...inferMethod(context), path: INFER }
  }

  /** Undefined for paths that nobody knows; a promise only until the others are there. */
  find(path: string): GrpcMethod | undefined | Promise<GrpcMethod | undefined> {
    if (path === INFER) return this.#infer
    if (this.#others !== undefined) return this.#others.get(path)
    return this.load().then(() => this.#others?.get(path))
  }

  load(): Promise<void> {
    this.#loading ??= import('./other-methods.js').then(({ otherMethods }) => {
      this.#others = otherMethods(this.context)
    })
    return this.#loading
  }
}
