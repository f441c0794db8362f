// A typed caller of the public HTTP interface: global fetch only, so it runs in Node and in browsers alike.
import { Caller } from './caller.js'
import { HeadraceClientError } from './errors.js'

/** What one endpoint takes and returns; `headrace types` writes one per endpoint. */
export interface EndpointTypes {
  readonly inputs: object
  readonly outputs: object
}

/** A project type: endpoints by name. Written so that interfaces fit, which have no index signature. */
export type ProjectTypes<Project> = { readonly [E in keyof Project]: EndpointTypes }

/** Used when no project type is given: any endpoint, any features. */
export type AnyProject = Record<string, { inputs: Record<string, unknown>; outputs: Record<string, unknown> }>

export interface ClientOptions {
  /** Default `http://127.0.0.1:8080`. */
  readonly baseUrl?: string
  /** Sent as `Authorization: Bearer …`. */
  readonly key?: string
  /** Sent with every call. */
  readonly headers?: Readonly<Record<string, string>>
  /** For a whole call, its retries included; default 10,000. */
  readonly timeoutMs?: number
  /** Further attempts when the server is busy or cannot be reached; default 2. They share the timeout. */
  readonly retries?: number
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch
}

export interface CallOptions {
  /** Ends the call; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /** Replaces the client's. */
  readonly timeoutMs?: number
}

/** Entity keys by name, for features that the server looks up. */
export type Entities = Readonly<Record<string, string | number | null>>

export interface PredictOptions extends CallOptions {
  /** What an A/B assignment is sticky to: a user or session id. */
  readonly unit?: string
  readonly entities?: Entities
}

/** Each is for every row, or a list with one (or null) for each. */
export interface PredictListOptions extends CallOptions {
  readonly unit?: string | readonly (string | null)[]
  readonly entities?: Entities | readonly (Entities | null)[]
}

export interface Prediction<Outputs = Record<string, unknown>> {
  /** Names the prediction when its outcome is reported. */
  readonly id: string
  readonly endpoint: string
  readonly model: string
  readonly version: number
  readonly outputs: Outputs
  /** Milliseconds; of the whole call, for a list. */
  readonly timings: Readonly<Record<string, number>>
  /** `cached`, `fallback`, …: how the answer came about when it was not the plain way. */
  readonly flags: readonly string[]
  /** Never there; it tells a prediction from a FailedPrediction. */
  readonly error?: undefined
}

/** A row of a list that got no answer while others did. */
export interface FailedPrediction {
  readonly id: string
  readonly endpoint: string
  readonly error: { readonly code: string; readonly message: string }
}

/** What turned out about a prediction later: a label, a click, a reward. */
export interface Outcome {
  /** The prediction's id; `id#row` for one row of several that were one prediction. */
  readonly prediction: string
  readonly name: string
  readonly value: string | number | boolean
  /** Milliseconds since 1970; default now. */
  readonly happenedMs?: number
}

/** A model as `GET /api/v1/models` describes it; the server's answer has more. */
export interface ModelSummary {
  readonly name: string
  readonly aliases: Readonly<Record<string, number>>
  /** By number. */
  readonly versions: readonly {
    readonly version: number
    readonly state: string
    /** Why it is not ready. */
    readonly reason: string | null
    readonly digest: string | null
    readonly description: string | null
  }[]
}

/** Of an endpoint whose features are looked up, the entity keys must be given. */
type OptionsFor<Types, Options, IsList extends boolean> = Types extends { entities: infer Keys }
  ? Record<never, never> extends Keys
    ? [options?: Omit<Options, 'entities'> & { readonly entities?: KeysFor<Keys, IsList> }]
    : [options: Omit<Options, 'entities'> & { readonly entities: KeysFor<Keys, IsList> }]
  : [options?: Options]
type KeysFor<Keys, IsList extends boolean> = IsList extends true ? Keys | readonly (Keys | null)[] : Keys

export interface Client<Project extends ProjectTypes<Project>> {
  /** A list of rows gives a list of predictions in the same order; it rejects only when every row failed. */
  predict<E extends keyof Project & string>(
    endpoint: E,
    inputs: readonly Project[E]['inputs'][],
    ...options: OptionsFor<Project[E], PredictListOptions, true>
  ): Promise<(Prediction<Project[E]['outputs']> | FailedPrediction)[]>
  predict<E extends keyof Project & string>(
    endpoint: E,
    inputs: Project[E]['inputs'],
    ...options: OptionsFor<Project[E], PredictOptions, false>
  ): Promise<Prediction<Project[E]['outputs']>>
  /** A call in the Open Inference Protocol, as it is: `POST /v2/models/{endpoint}/infer`. */
  infer(endpoint: keyof Project & string, request: object, options?: CallOptions): Promise<Record<string, unknown>>
  /** Tells what turned out about predictions, at most 1,000 at once; resolves when the server keeps it for good. */
  outcomes(endpoint: keyof Project & string, outcomes: readonly Outcome[], options?: CallOptions): Promise<void>
  models(options?: CallOptions): Promise<readonly ModelSummary[]>
  /** Whether the server can be reached and its models are ready. */
  ready(options?: CallOptions): Promise<boolean>
}

/**
 * Makes a client. Give it the Project that `headrace types` writes, and endpoints, features and outputs are checked as you type.
 * Calls reject with a HeadraceClientError.
 *
 * @example
 * const client = createClient<Project>({ baseUrl: 'http://127.0.0.1:8080' })
 * const { outputs } = await client.predict('fraud', { amount: 12.5, country: 'DE' }, { unit: userId })
 */
export function createClient<Project extends ProjectTypes<Project> = AnyProject>(
  options: ClientOptions = {},
): Client<Project> {
  const caller = new Caller(options)
  const predict = async (endpoint: string, inputs: object, { unit, entities, ...call }: PredictListOptions = {}) => {
    const body = JSON.stringify({ inputs, unit, entities })
    const path = `/api/v1/predict/${encodeURIComponent(endpoint)}`
    const reply = (await caller.send({ ...call, path, body })) as Prediction | PredictionList
    if (!('predictions' in reply)) return reply
    const { predictions, ...shared } = reply
    return predictions.map((row) => ('error' in row ? { ...row, endpoint: shared.endpoint } : { ...row, ...shared }))
  }
  return {
    // The overloads say which of the two forms of the reply each form of the inputs gets.
    predict: predict as Client<Project>['predict'],
    infer: (endpoint, request, call) => {
      const path = `/v2/models/${encodeURIComponent(endpoint)}/infer`
      return caller.send({ ...call, path, body: JSON.stringify(request) }) as Promise<Record<string, unknown>>
    },
    async outcomes(endpoint, outcomes, call) {
      // Not sent again by itself: the outcomes of a reply that was lost are there already, and would be there twice.
      const path = `/api/v1/outcomes/${encodeURIComponent(endpoint)}`
      await caller.send({ retries: 0, ...call, path, body: JSON.stringify({ outcomes }) })
    },
    async models(call) {
      const reply = (await caller.send({ ...call, path: '/api/v1/models' })) as { models: ModelSummary[] }
      return reply.models
    },
    async ready(call) {
      try {
        await caller.send({ ...call, path: '/readyz', retries: 0 })
        return true
      } catch (error) {
        if (error instanceof HeadraceClientError) return false
        throw error
      }
    },
  }
}

/** What the server answers to a list: what the rows share stands there once. */
interface PredictionList {
  readonly endpoint: string
  readonly predictions: readonly (Omit<Prediction, 'endpoint' | 'timings'> | Omit<FailedPrediction, 'endpoint'>)[]
  readonly timings: Prediction['timings']
}
