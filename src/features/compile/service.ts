// On-demand views and services: what they are made of, by name.
import type { CompiledKey, CompiledOnDemand, CompiledService, CompiledView, ServiceFeature } from '../compiled.js'
import type { OnDemandView } from '../definitions/on-demand.js'
import type { FeatureService, Selection } from '../definitions/service.js'
import type { KeyType, ValueType } from '../value.js'
import { compiledFeature } from './features.js'
import { fingerprint } from './fingerprint.js'
import type { Problems } from './problems.js'

/** undefined: a view of it is not usable, which is told there. */
export function compileOnDemand(
  view: OnDemandView,
  views: ReadonlyMap<string, CompiledView>,
  problems: Problems,
): CompiledOnDemand | undefined {
  const path = `on-demand view ${view.name}`
  const listed = Array.isArray(view.views) ? view.views : []
  const used = listed.map((one) => views.get((one as OnDemandView['views'][number])?.name))
  for (const one of listed) {
    if (one?.kind !== 'view')
      problems.add(`${path} › views`, `"${one?.name}" is no feature view.`, 'Functions take feature views only.')
  }
  const version = view.version ?? 1
  if (!Number.isSafeInteger(version) || version < 1)
    problems.add(`${path} › version`, `${String(view.version)} is no version.`, 'Versions are 1, 2, 3, …')
  const request = Object.entries(view.request ?? {}).filter(([name, type]) => {
    const named = problems.name(`${path} › request`, name)
    return problems.type(`${path} › request.${name}`, type) && named
  })
  const features = Object.entries(view.features ?? {})
  if (features.length === 0) problems.add(`${path} › features`, 'It has none.', 'Give at least one.')
  problems.clashes(
    `${path} › features`,
    features.map(([name]) => name),
    (name) => `"${name}" is there twice but for capital letters.`,
    'Rename one.',
  )
  if (typeof view.transform !== 'function')
    problems.add(`${path} › transform`, 'It is no function.', 'Write ({ request, a_view }) => ({ feature: … }).')
  const compiled = features.flatMap(([name, feature]) => {
    const where = `${path} › features.${name}`
    const named = problems.name(where, name)
    return problems.type(where, feature?.type) && named ? [compiledFeature(where, name, feature, problems)] : []
  })
  const usable = used.filter((one) => one !== undefined)
  if (usable.length < used.length) return undefined
  return {
    name: view.name,
    version,
    views: usable,
    request: request.map(([name, type]) => ({ name, type })),
    features: compiled,
    fingerprint: fingerprint({
      views: usable.map(({ name, fingerprint: of }) => [name, of]),
      request,
      features: compiled.map(({ name, type }) => [name, type]),
      transform: view.transform,
    }),
    transform: view.transform as CompiledOnDemand['transform'],
    definition: view,
  }
}

export function compileService(
  service: FeatureService,
  views: ReadonlyMap<string, CompiledView>,
  onDemand: ReadonlyMap<string, CompiledOnDemand>,
  problems: Problems,
): CompiledService | undefined {
  const path = `service ${service.name}`
  const items = Array.isArray(service.items) ? service.items : []
  const features: ServiceFeature[] = []
  const read = new Set<CompiledView>()
  const computed = new Set<CompiledOnDemand>()
  let isWhole = true
  for (const item of items as FeatureService['items']) {
    const view = item?.kind === 'selection' ? item.view : item
    const stored = view?.kind === 'view' ? views.get(view.name) : undefined
    const computing = view?.kind === 'on-demand' ? onDemand.get(view.name) : undefined
    const compiled = stored ?? computing
    if (compiled === undefined) {
      isWhole = false
      continue
    }
    const names = compiled.features.map(({ name }) => name)
    const wanted =
      item.kind === 'selection'
        ? Object.entries((item as Selection).features)
        : names.map((name) => [name, name] as const)
    for (const [name, of] of wanted) {
      const index = names.indexOf(of)
      if (index < 0) {
        problems.unknown(`${path} › items`, `"${compiled.name}" has no feature`, of, names)
        continue
      }
      if (!problems.name(`${path} › items`, name)) continue
      const { type, fallback } = compiled.features[index]!
      const from: ServiceFeature['from'] = stored
        ? { kind: 'view', view: stored, index }
        : { kind: 'on-demand', view: computing!, index }
      features.push({ name, type, fallback, from })
    }
    if (stored) read.add(stored)
    if (computing) {
      computed.add(computing)
      for (const one of computing.views) read.add(one)
    }
  }
  if (items.length === 0) problems.add(`${path} › items`, 'It has none.', 'Name the views whose features it gives.')
  if (!isWhole) return undefined
  const keys = union<KeyType>(
    path,
    'Key',
    [...read].flatMap((view) => view.keys),
    problems,
  )
  const request = union<ValueType>(
    path,
    'Input',
    [...computed].flatMap((view) => view.request),
    problems,
  )
  checkClashes(path, features, keys, request, problems)
  return { name: service.name, features, views: [...read], onDemand: [...computed], keys, request, definition: service }
}

function union<T>(
  path: string,
  what: string,
  all: readonly { readonly name: string; readonly type: T }[],
  problems: Problems,
): { readonly name: string; readonly type: T }[] {
  const types = new Map<string, T>()
  for (const { name, type } of all) {
    const there = types.get(name)
    if (there !== undefined && there !== type) {
      problems.add(
        path,
        `${what} "${name}" is ${String(there)} in one view and ${String(type)} in another.`,
        'Make it one type.',
      )
    }
    types.set(name, type)
  }
  return [...types].map(([name, type]) => ({ name, type }))
}

/** All of a service's names stand side by side in a training set. */
function checkClashes(
  path: string,
  features: readonly ServiceFeature[],
  keys: readonly CompiledKey[],
  request: CompiledService['request'],
  problems: Problems,
): void {
  problems.clashes(
    `${path} › items`,
    features.map(({ name }) => name),
    (name) => `Two features are called "${name}".`,
    'Take one with select, or rename it: selectAs(view, { new: "old" }).',
  )
  const taken = new Map([
    ...keys.map(({ name }) => [name.toLowerCase(), 'an entity key'] as const),
    ...request.map(({ name }) => [name.toLowerCase(), 'an input of the request'] as const),
  ])
  for (const { name } of features) {
    const by = taken.get(name.toLowerCase())
    if (by !== undefined)
      problems.add(
        `${path} › items`,
        `Feature "${name}" is called like ${by}.`,
        'Rename it: selectAs(view, { new: "old" }).',
      )
  }
}
