// A typed caller for the native HTTP interface: global fetch only, so it runs in Node and browsers alike.

/** What one endpoint takes and returns; `headrace types` writes one per endpoint. */
export interface EndpointTypes {
  readonly inputs: object
  readonly outputs: object
}

/** Used when no project type is given: any endpoint, any features. */
export type AnyProject = Record<string, { inputs: Record<string, unknown>; outputs: Record<string, unknown> }>

export interface ClientOptions {
  /** Default `http://127.0.0.1:8080`. */
  readonly baseUrl?: string
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch
  /** Whole call, retries included; default 10,000. */
  readonly timeoutMs?: number
  /** Further attempts after a failure that the server says can be retried, or without an answer; default 2. */
  readonly retries?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as `Authorization: Bearer`. */
  readonly key?: string
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** Replaces the client's. */
  readonly timeoutMs?: number
}

export interface PredictOptions extends CallOptions {
  /** What the assignment is sticky to: a user or session id. */
  readonly unit?: string
  /** Entity keys for feature look-ups. */
  readonly entities?: Readonly<Record<string, string | number>>
}

export interface Prediction<Outputs = Record<string, unknown>> {
  readonly id: string
  readonly endpoint: string
  readonly model: string
  readonly version: number
  readonly outputs: Outputs
  readonly timings: Readonly<Record<string, number>>
  readonly flags: readonly string[]
}

export interface Client<Project extends { [E in keyof Project]: EndpointTypes }> {
  /** A list of rows gives a list of predictions in the same order. */
  predict<E extends keyof Project & string>(
    endpoint: E,
    inputs: readonly Project[E]['inputs'][],
    options?: PredictOptions,
  ): Promise<Prediction<Project[E]['outputs']>[]>
  predict<E extends keyof Project & string>(
    endpoint: E,
    inputs: Project[E]['inputs'],
    options?: PredictOptions,
  ): Promise<Prediction<Project[E]['outputs']>>
  /** What `GET /api/v1/models` answers. */
  models(options?: CallOptions): Promise<unknown>
  /** Whether the server answers that it is ready; false when it cannot be reached. */
  ready(options?: CallOptions): Promise<boolean>
  /** A raw Open Inference Protocol call: `POST /v2/models/{endpoint}/infer`. */
  infer(endpoint: keyof Project & string, request: object, options?: CallOptions): Promise<unknown>
}

export declare function createClient<Project extends { [E in keyof Project]: EndpointTypes } = AnyProject>(
  options?: ClientOptions,
): Client<Project>
