// A prediction in flight: one mutable object of one shape that every stage reads and writes, so the path allocates little.
import type { Meter } from '../access/index.js'
import type { HeadraceError } from '../core/index.js'
import type { ServedFeatures } from '../features/index.js'
import type { Deadline } from '../flow/index.js'
import type { RecordedCall } from '../log/index.js'
import type { RouteChoice } from '../route/index.js'
import type { CachePolicy, LeafInput, Priority, ServedVersion } from '../serving/index.js'
import type { TensorMap } from '../tensor/index.js'
import type { Assembly } from './assembly.js'
import type { Endpoint } from './endpoint.js'
import type { EndpointFeatures } from './endpoint-features.js'
import { flagList, PINNED } from './flags.js'
import type { Given } from './given.js'

/** Writes the reply of an answered prediction into `prediction.reply`; one function per protocol, called by the shape stage. */
export type Shaper = (prediction: Prediction) => void | Promise<void>

/** Work of a route that starts after the reply. */
export interface AfterReply {
  goOn(): void
}

/** What a face knows when a request has been parsed. */
export interface PredictionRequest {
  readonly id: string
  readonly endpoint: Endpoint
  /** `oip`, `kserve-v1` or `native`. */
  readonly protocol: string
  readonly tenant: string
  /** What limits and counts the caller; undefined for nothing. */
  readonly meter?: Meter | undefined
  readonly unit: string | undefined
  readonly traceId: string | undefined
  readonly tensors: TensorMap
  /** What the call brings where versions have feature services, with what those are; `tensors` is then empty. */
  readonly given?: Given | undefined
  readonly features?: EndpointFeatures | undefined
  /** Which row of `given` this is, when it is only one of them; undefined: all of them. */
  readonly givenRow?: number | undefined
  /** JSON text of the inputs as they arrived, for the log. */
  readonly rawInputs: Uint8Array | string | undefined
  /** Names wanted, in order; undefined means all. */
  readonly outputs: readonly string[] | undefined
  /** The version that the caller named: bypasses the route. */
  readonly pinned: ServedVersion | undefined
  /** The caller's own time limit in milliseconds; the endpoint's applies when it is shorter or this is absent. */
  readonly timeoutMs: number | undefined
  /** What the caller asked for; the endpoint's applies when this is absent. */
  readonly priority?: Priority | undefined
  /** Free facts for `match`: OIP `parameters`, the native call's `metadata`. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  /** Monotonic milliseconds when the request's first byte was handled. */
  readonly arrivedMs: number
  readonly shaper: Shaper
  /** What the face needs again when it shapes the reply; the path does not look inside. */
  readonly wire: unknown
}

export class Prediction implements LeafInput {
  readonly id: string
  readonly endpoint: Endpoint
  readonly protocol: string
  readonly tenant: string
  readonly meter: Meter | undefined
  readonly unit: string | undefined
  readonly traceId: string | undefined
  /** Where versions have feature services: those of the version that is called, or was. */
  tensors: TensorMap
  readonly given: Given | undefined
  readonly features: EndpointFeatures | undefined
  /** The first of its rows in `given`. */
  readonly firstRow: number
  readonly rawInputs: Uint8Array | string | undefined
  readonly outputs: readonly string[] | undefined
  readonly pinned: ServedVersion | undefined
  readonly timeoutMs: number | undefined
  readonly priority: Priority
  readonly metadata: Readonly<Record<string, unknown>> | undefined
  /** The endpoint's; of a release's arm, its own. */
  cache: CachePolicy | undefined
  /** What a caller's own version answered is not what the endpoint's route would fall back to. */
  readonly feedsLastKnown: boolean
  readonly arrivedMs: number
  readonly shaper: Shaper
  readonly wire: unknown

  /** Set by features; undefined when nothing had to be read. */
  servedFeatures: ServedFeatures | undefined = undefined
  assembled: Map<Assembly, TensorMap | Promise<TensorMap>> | undefined = undefined
  /** Of versions that were not there when the features were read. */
  late: Map<ServedVersion, Assembly> | undefined = undefined
  /** Set by admit. */
  rows = 1
  deadline: Deadline | undefined = undefined
  /** Set when the client went away; work still queued for it is dropped. */
  cancelled = false
  choices: readonly RouteChoice[] = NO_CHOICES
  calls: readonly RecordedCall[] = NO_CALLS
  /** The version whose answer is the reply, and that answer. */
  served: ServedVersion | undefined = undefined
  answer: TensorMap | undefined = undefined
  /** Index into `calls` of the call that gave it; -1 when it was combined from several, or there is none. */
  answerCall = -1
  /** What the caller is told about the answer: `pinned`, `cached`, `stale`, `fallback`, `features-default`, `features-stale`, `lease-expired`. */
  flags: readonly string[]
  /** Of these, what the route itself said, as bits. */
  routeFlags = 0
  /** Of the calls whose versions state one. */
  knownCost = 0
  hasUnknownCost = false
  /** Its record is in the log: what still ends has a record of its own. */
  isRecorded = false
  /** What is left to do once the reply is out. */
  afterReply: AfterReply | undefined = undefined
  queueMs = 0
  computeMs = 0
  /** Reply body, and the JSON of its outputs for the log when the shaper has it anyway. */
  reply: string | Uint8Array | undefined = undefined
  rawOutputs: Uint8Array | string | undefined = undefined
  error: HeadraceError | undefined = undefined
  admitMs = 0
  featuresMs = 0
  routeMs = 0
  shapeMs = 0

  constructor(request: PredictionRequest) {
    this.id = request.id
    this.endpoint = request.endpoint
    this.protocol = request.protocol
    this.tenant = request.tenant
    this.meter = request.meter
    this.unit = request.unit
    this.traceId = request.traceId
    this.tensors = request.tensors
    this.given = request.given
    this.features = request.features
    this.firstRow = request.givenRow ?? 0
    this.rows = request.given === undefined || request.givenRow !== undefined ? 1 : request.given.rows
    this.rawInputs = request.rawInputs
    this.outputs = request.outputs
    this.pinned = request.pinned
    this.flags = flagList(request.pinned ? PINNED : 0)
    this.timeoutMs = request.timeoutMs
    this.priority = request.priority ?? request.endpoint.priority ?? 'normal'
    this.metadata = request.metadata
    this.cache = request.endpoint.cache
    this.feedsLastKnown = request.pinned === undefined
    this.arrivedMs = request.arrivedMs
    this.shaper = request.shaper
    this.wire = request.wire
  }

  /** Nearly every prediction has one call: a list of exactly that size, not one with room to grow. Returns the call's index. */
  record(call: RecordedCall): number {
    this.calls = this.calls.length === 0 ? [call] : [...this.calls, call]
    return this.calls.length - 1
  }
}

const NO_CALLS: readonly RecordedCall[] = []

const NO_CHOICES: readonly RouteChoice[] = []
