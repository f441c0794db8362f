// Everything that the given definitions reach: services bring their views, views their entities and sources.
import type { Entity } from '../definitions/entity.js'
import type { OnDemandView } from '../definitions/on-demand.js'
import type { FeatureService } from '../definitions/service.js'
import type { Source } from '../definitions/source.js'
import type { FeatureView } from '../definitions/view.js'
import { canonical } from './fingerprint.js'
import { type Problems, show } from './problems.js'

export type Definition = Entity | Source | FeatureView | OnDemandView | FeatureService

export interface Collected {
  readonly entities: Map<string, Entity>
  readonly sources: Map<string, Source>
  readonly views: Map<string, FeatureView>
  readonly onDemand: Map<string, OnDemandView>
  readonly services: Map<string, FeatureService>
}

const SOURCES: readonly string[] = ['file', 'sql', 'postgres', 'push', 'kafka']
const MAKERS =
  'Make it with defineEntity, fileSource, sqlSource, postgresSource, pushSource, kafkaSource, defineFeatureView, defineOnDemandView or defineFeatureService.'

/** Whether something is a definition, whatever mistakes it may have: how a module's exports are told apart. */
export function isDefinition(thing: unknown): thing is Definition {
  const kind = kindOf(thing)
  return kind !== undefined && (['entity', 'view', 'on-demand', 'service'].includes(kind) || SOURCES.includes(kind))
}

export function collect(definitions: readonly unknown[], problems: Problems): Collected {
  const found: Collected = {
    entities: new Map(),
    sources: new Map(),
    views: new Map(),
    onDemand: new Map(),
    services: new Map(),
  }
  const seen = new Set<unknown>()

  function visit(thing: unknown, where: string): void {
    if (seen.has(thing)) return
    seen.add(thing)
    const definition = thing as Definition
    switch (isDefinition(thing) ? definition.kind : undefined) {
      case 'entity':
        enter(found.entities, 'entity', definition as Entity)
        return
      case 'view': {
        const view = definition as FeatureView
        enter(found.views, 'view', view)
        for (const entity of listOf(view.entities)) visit(entity, `view ${view.name} › entities`)
        if (view.source !== undefined) visit(view.source, `view ${view.name} › source`)
        if (view.stream !== undefined) visit(view.stream, `view ${view.name} › stream`)
        return
      }
      case 'on-demand': {
        const view = definition as OnDemandView
        enter(found.onDemand, 'on-demand view', view)
        for (const one of listOf(view.views)) visit(one, `on-demand view ${view.name} › views`)
        return
      }
      case 'service': {
        const service = definition as FeatureService
        enter(found.services, 'service', service)
        for (const item of listOf(service.items)) {
          const view = kindOf(item) === 'selection' ? (item as { readonly view: unknown }).view : item
          visit(view, `service ${service.name} › items`)
        }
        return
      }
      case undefined:
        problems.add(where, `${show(thing)} is no definition.`, MAKERS)
        return
      default:
        enter(found.sources, 'source', definition as Source)
    }
  }

  /** A module that is loaded twice makes equal definitions twice: those are one. */
  function enter<D extends Definition>(into: Map<string, D>, what: string, definition: D): void {
    if (!problems.name(`${what} ${show(definition.name)}`, definition.name)) return
    const there = into.get(definition.name)
    if (there === undefined) into.set(definition.name, definition)
    else if (canonical(there) !== canonical(definition)) {
      problems.add(`${what} ${definition.name}`, 'Two definitions have this name.', 'Give each its own.')
    }
  }

  definitions.forEach((definition, i) => {
    visit(definition, `definition ${i + 1}`)
  })
  const views = [...found.views.keys(), ...found.onDemand.keys()]
  for (const name of found.onDemand.keys()) {
    if (found.views.has(name)) problems.add(`on-demand view ${name}`, 'A view has this name.', 'Give it another.')
  }
  problems.clashes(
    'views',
    [...new Set(views)],
    (name) => `Another view is called "${name}" but for capital letters.`,
    'Rename one.',
  )
  return found
}

function kindOf(thing: unknown): string | undefined {
  const kind = typeof thing === 'object' && thing !== null ? (thing as { readonly kind?: unknown }).kind : undefined
  return typeof kind === 'string' ? kind : undefined
}

function listOf(list: unknown): readonly unknown[] {
  return Array.isArray(list) ? list : []
}
