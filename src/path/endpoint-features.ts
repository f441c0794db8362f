// Which features an endpoint needs: the union of the services of every version that its route can reach, shadows included. Compiled when
// first asked, and again when its versions are others.
import type { Logger } from '../core/index.js'
import type { FeatureReader, KeyType, PlannedFeature, ReadPlan, ValueType } from '../features/index.js'
import type { ServedVersion } from '../serving/index.js'
import type { OpenRows } from '../tensor/index.js'
import { Assembly } from './assembly.js'
import type { Endpoint, Versions } from './endpoint.js'
import type { Given } from './given.js'

export class EndpointFeatures {
  readonly plan: ReadPlan
  /** What callers may give values by, for parsers. */
  readonly rows: OpenRows
  /** The same with the names of entity keys, for forms that have both in one place. */
  readonly rowsWithKeys: OpenRows
  readonly assemblies: readonly Assembly[]
  /** Tensors have an axis of rows. */
  readonly isBatched: boolean
  readonly #reader: FeatureReader
  readonly #late = new WeakMap<ServedVersion, Assembly>()
  readonly #keys: ReadonlySet<string>

  constructor(
    /** In the order of the route; each that is there, or was. */
    readonly versions: readonly ServedVersion[],
    reader: FeatureReader,
    logger: Logger,
  ) {
    this.#reader = reader
    const services: string[] = []
    for (const { ref, manifest } of versions) {
      const service = manifest.featureService
      if (service === undefined || services.includes(service)) continue
      try {
        reader.plan([service])
        services.push(service)
      } catch (error) {
        logger.error({ ...ref, service, err: error }, 'a model version names a feature service that cannot be read')
      }
    }
    this.plan = reader.plan(services)
    this.assemblies = versions.map((served) => new Assembly(served, this.plan))
    this.isBatched = versions.every(({ signature }) => signature.batchAxis === 0)
    const names = new Set<string>()
    for (const { schema } of this.assemblies) {
      for (const { name } of schema.features) names.add(name)
      if (schema.layout === 'matrix') names.add(schema.signature.inputs[0]!.name)
    }
    for (const { name } of this.plan.features) names.add(name)
    for (const { name } of this.plan.request) names.add(name)
    const inputs = this.assemblies[0]!.schema.signature.inputs
    const whole = inputs.length === 1 ? inputs[0]!.name : undefined
    this.rows = { layout: 'open', names, whole }
    this.#keys = new Set(this.plan.keys.map(({ name }) => name))
    this.rowsWithKeys = { layout: 'open', names: new Set([...names, ...this.#keys]), whole }
  }

  /** What the first version of the route asks of callers, and what the store gives: for whoever describes the endpoint. */
  describe(): FeatureNeeds {
    const { schema, service } = this.assemblies[0]!
    const own = service === undefined ? undefined : this.plan.services.find(({ name }) => name === service)
    const columns = service === undefined ? undefined : this.plan.columnsOf(service)
    const request = own?.request ?? []
    return {
      services: this.plan.services.map(({ name }) => name),
      entities: this.plan.keys.map(({ name, type }) => ({
        name,
        type,
        isRequired: own?.keys.some((key) => key.name === name) ?? false,
      })),
      features: this.plan.features.map(({ name, type, services }) => ({ name, type, services })),
      request: this.plan.request.map(({ name, type }) => ({
        name,
        type,
        isRequired: request.some((input) => input.name === name),
      })),
      required: schema.features.filter(({ name }) => columns?.has(name) !== true).map(({ name }) => name),
    }
  }

  /** Whether a column of this name holds an entity key, and no input. */
  isKey(name: string): boolean {
    return !this.rows.names.has(name) && this.#reader.hasKey(name)
  }

  /** Whether it is an input of some version, as a whole tensor. */
  isInput(name: string): boolean {
    return this.assemblies.some(({ schema }) => schema.signature.inputs.some((input) => input.name === name))
  }

  checkKeyName(name: string): void {
    this.#reader.checkKeyName(name)
  }

  /** Undefined for a version that came after this was compiled. */
  assemblyOf(served: ServedVersion): Assembly | undefined {
    const { assemblies } = this
    for (let i = 0; i < assemblies.length; i++) if (assemblies[i]!.served === served) return assemblies[i]
    return this.#late.get(served)
  }

  /** Of a version whose service the plan has, though it was not there when this was compiled. */
  addLate(served: ServedVersion): Assembly | undefined {
    const { featureService } = served.manifest
    if (featureService !== undefined && !this.plan.services.some(({ name }) => name === featureService))
      return undefined
    const assembly = new Assembly(served, this.plan)
    this.#late.set(served, assembly)
    return assembly
  }

  /** Whether the request brings every version with a service all that it takes. */
  needsNothing(given: Given): boolean {
    if (given.tensors.size === 0) return false
    return this.assemblies.every((assembly) => assembly.service === undefined || assembly.isComplete(given))
  }
}

export interface FeatureNeeds {
  readonly services: readonly string[]
  readonly entities: readonly { readonly name: string; readonly type: KeyType; readonly isRequired: boolean }[]
  /** What the services give; a caller may bring any of them in place of the store. */
  readonly features: readonly PlannedFeature[]
  /** What on-demand views compute from. */
  readonly request: readonly { readonly name: string; readonly type: ValueType; readonly isRequired: boolean }[]
  /** Inputs of the first version that only the request can bring. */
  readonly required: readonly string[]
}

interface Known {
  readonly leaves: readonly (ServedVersion | undefined)[]
  readonly features: EndpointFeatures | undefined
}

export class FeatureRoutes {
  readonly #byEndpoint = new WeakMap<Endpoint, Known>()
  readonly #byVersion = new WeakMap<ServedVersion, EndpointFeatures>()

  constructor(
    private readonly reader: FeatureReader,
    private readonly versions: Versions,
    private readonly logger: Logger,
  ) {}

  /** Undefined when no version that can answer has a feature service: nothing of this file is then for it. */
  of(endpoint: Endpoint, pinned: ServedVersion | undefined): EndpointFeatures | undefined {
    if (pinned !== undefined) return pinned.manifest.featureService === undefined ? undefined : this.#ofPinned(pinned)
    const { leaves } = endpoint.route
    const known = this.#byEndpoint.get(endpoint)
    if (known !== undefined) {
      let isSame = true
      for (let i = 0; i < leaves.length && isSame; i++) isSame = this.#at(endpoint, i) === known.leaves[i]
      if (isSame) return known.features
    }
    const now = leaves.map((_, i) => this.#at(endpoint, i))
    const there = [...new Set(now.filter((served) => served !== undefined))]
    const has = there.some(({ manifest }) => manifest.featureService !== undefined)
    const features = has ? new EndpointFeatures(there, this.reader, this.logger) : undefined
    this.#byEndpoint.set(endpoint, { leaves: now, features })
    return features
  }

  #ofPinned(pinned: ServedVersion): EndpointFeatures {
    let features = this.#byVersion.get(pinned)
    if (features === undefined) {
      features = new EndpointFeatures([pinned], this.reader, this.logger)
      this.#byVersion.set(pinned, features)
    }
    return features
  }

  #at({ route }: Endpoint, leaf: number): ServedVersion | undefined {
    const at = route.leaves[leaf]!
    // A version that rests or failed may be back when it is called.
    return this.versions.there(at) ?? this.versions.lastSeen(at)
  }
}
