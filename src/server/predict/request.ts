// What the predict protocols share: which endpoint and version are meant, and what the headers say.
import type { Caller } from '../../access/index.js'
import {
  type Endpoint,
  type EndpointFeatures,
  type Given,
  type PredictionRequest,
  referenceVersion,
  type Shaper,
  wakeReference,
} from '../../path/index.js'
import { type Priority, type ServedVersion, ServingErrors } from '../../serving/index.js'
import type { TensorMap } from '../../tensor/index.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import type { PredictTarget } from '../target.js'
import type { Exchange } from './exchange.js'

/** What gRPC's metadata and HTTP's headers have in common. */
type Headers = Pick<Exchange, 'header'>

/** Where a request goes, and the version whose names and shapes it is written to. */
export interface Destination {
  readonly endpoint: Endpoint
  readonly pinned: ServedVersion | undefined
  readonly reference: ServedVersion
  /** What its versions are given beside the request; undefined where none has a feature service. */
  readonly features: EndpointFeatures | undefined
}

/**
 * To be waited for before `destination`: a version that was never loaded cannot be described, and this loads it. Undefined when there
 * is nothing to wait for, as nearly always. Throws PATH_ENDPOINT_NOT_FOUND; rejects with what the version fails to load with.
 */
export function awake({ app }: ServerContext, { name, version }: PredictTarget): Promise<void> | undefined {
  const endpoint = app.endpoints.get(name)
  if (version === undefined) return wakeReference(endpoint, app.versions)
  const { model } = endpoint.route.leaves[0]!
  return app.versions.wake({ kind: 'version', model, version }, endpoint.deadlineMs)
}

/** Throws PATH_ENDPOINT_NOT_FOUND or what resolving a version throws. */
export function destination({ app }: ServerContext, { name, version }: PredictTarget): Destination {
  const endpoint = app.endpoints.get(name)
  if (version === undefined) {
    const reference = referenceVersion(endpoint, app.versions)
    return { endpoint, pinned: undefined, reference, features: app.path.featuresOf(endpoint, undefined) }
  }
  // A version counts within the model that the endpoint serves.
  const { model } = endpoint.route.leaves[0]!
  const pinned = app.versions.resolve({ kind: 'version', model, version })
  return { endpoint, pinned, reference: pinned, features: app.path.featuresOf(endpoint, pinned) }
}

/** Throws what `destination` throws, and SERVING_MODEL_UNREADY when the one version that would answer says that it cannot. */
export function expectReady(context: ServerContext, target: PredictTarget): void {
  const { endpoint, pinned, reference } = destination(context, target)
  const only = pinned ?? (endpoint.route.leaves.length === 1 ? reference : undefined)
  const status = only && context.app.pool.status(only.ref)
  if (status?.state === 'unready')
    throw ServingErrors.MODEL_UNREADY({ ...status.ref, reason: status.reason ?? 'it is unready', retryAfterMs: 1000 })
}

export interface Parsed {
  readonly protocol: string
  readonly tensors: TensorMap
  /** In place of tensors, where there are features. */
  readonly given: Given | undefined
  /** The row of `given` that this is; undefined: all. */
  readonly givenRow: number | undefined
  readonly rawInputs: Uint8Array | undefined
  readonly outputs: readonly string[] | undefined
  readonly unit: string | undefined
  readonly timeoutMs: number | undefined
  /** From the body; the header's applies without it. */
  readonly priority: Priority | undefined
  readonly metadata: Readonly<Record<string, unknown>> | undefined
  readonly shaper: Shaper
  readonly wire: unknown
}

export function predictionRequest(
  { app }: ServerContext,
  headers: Headers,
  arrivedMs: number,
  caller: Caller,
  { endpoint, pinned, features }: Destination,
  parsed: Parsed,
): PredictionRequest {
  return {
    id: app.platform.ids.next(),
    endpoint,
    protocol: parsed.protocol,
    tenant: caller.tenant,
    meter: caller.meter,
    unit: parsed.unit ?? headers.header('headrace-unit'),
    traceId: traceId(headers.header('traceparent')),
    tensors: parsed.tensors,
    given: parsed.given,
    features,
    givenRow: parsed.givenRow,
    rawInputs: parsed.rawInputs,
    outputs: parsed.outputs,
    pinned,
    timeoutMs: parsed.timeoutMs,
    priority: parsed.priority ?? headerPriority(headers),
    metadata: parsed.metadata,
    arrivedMs,
    shaper: parsed.shaper,
    wire: parsed.wire,
  }
}

/** Throws HTTP_PARAMETER_INVALID. */
function headerPriority(headers: Headers): Priority | undefined {
  const text = headers.header('headrace-priority')
  if (text === undefined || text === 'high' || text === 'normal' || text === 'low') return text
  throw HttpErrors.PARAMETER_INVALID({
    in: 'header',
    where: 'headrace-priority',
    expected: 'high, normal or low',
    arrived: JSON.stringify(text.slice(0, 40)),
  })
}

/** The trace id of a W3C traceparent header. */
function traceId(header: string | undefined): string | undefined {
  return header !== undefined && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}/.test(header)
    ? header.slice(3, 35)
    : undefined
}
