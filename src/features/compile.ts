// From what people wrote to what everything works with: checked, linked, with defaults filled in. All mistakes are told at once.

import { collect } from './compile/collect.js'
import { Problems } from './compile/problems.js'
import { compileOnDemand, compileService } from './compile/service.js'
import { checkEntity, checkSource } from './compile/sources.js'
import { compileView } from './compile/view.js'
import type { CompiledOnDemand, CompiledService, CompiledView, FeatureProject } from './compiled.js'

/** Everything that the definitions reach, in any order and number. Throws FEATURE_DEFINITION_INVALID. */
export function compileFeatures(definitions: readonly unknown[]): FeatureProject {
  const problems = new Problems()
  const { entities, sources, views, onDemand, services } = collect(definitions, problems)
  for (const entity of entities.values()) checkEntity(entity, problems)
  for (const source of sources.values()) checkSource(source, problems)
  const compiledViews = new Map<string, CompiledView>()
  for (const view of views.values()) keep(compiledViews, compileView(view, problems))
  const compiledOnDemand = new Map<string, CompiledOnDemand>()
  for (const view of onDemand.values()) keep(compiledOnDemand, compileOnDemand(view, compiledViews, problems))
  const compiledServices = new Map<string, CompiledService>()
  for (const service of services.values()) {
    keep(compiledServices, compileService(service, compiledViews, compiledOnDemand, problems))
  }
  problems.throwIfAny()
  return { entities, sources, views: compiledViews, onDemand: compiledOnDemand, services: compiledServices }
}

function keep<T extends { readonly name: string }>(into: Map<string, T>, compiled: T | undefined): void {
  if (compiled !== undefined) into.set(compiled.name, compiled)
}
