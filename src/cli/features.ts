// `headrace features`: what is defined and how it stands. Reading, pushing and long work are in files beside this one.
import type { Command } from 'commander'
import {
  type FeatureCatalogue,
  FeatureErrors,
  type FeatureStatus,
  type Lineage,
  type ViewFacts,
} from '../features/index.js'
import { type Faces, withApi } from './context.js'
import { addFeatureReading } from './features-read.js'
import { addFeatureWork } from './features-work.js'
import { globalOptions } from './options.js'
import { ageText, print, printJson, shortText, table } from './output.js'

export function addFeatures(program: Command, faces: Faces): void {
  const features = program
    .command('features')
    .description('define features once; read, fill, check and trace them, and make training sets')

  features
    .command('list')
    .description('every feature with its view, type and meaning')
    .addHelpText('after', '\nExample:\n  headrace features list\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const catalogue = await withApi(faces, options, { loads: false }, (api) =>
        api.json<FeatureCatalogue>('GET', '/api/v1/features'),
      )
      if (options.json) return printJson(catalogue)
      if (catalogue.views.length === 0) return print(FeatureErrors.NONE_DEFINED().message)
      const rows = catalogue.views.flatMap((view) =>
        view.features.map(({ name, type, meaning }) => [
          `${view.name}:${name}`,
          type,
          view.keys.map((key) => key.name).join(', '),
          shortText(meaning),
          view.owner,
        ]),
      )
      print(table(['feature', 'type', 'keys', 'meaning', 'owner'], rows))
      if (catalogue.services.length === 0) return
      const services = catalogue.services.map(({ name, keys, request, features: given, owner }) => [
        name,
        given.length,
        keys.map((key) => key.name).join(', '),
        request.map((input) => input.name).join(', '),
        owner,
      ])
      print(`\n${table(['service', 'features', 'keys', 'inputs', 'owner'], services)}`)
    })

  features
    .command('show')
    .argument('<name>', 'a view, service, source or entity')
    .description('one definition with everything that is said of it')
    .addHelpText('after', '\nExample:\n  headrace features show user_spend\n')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const catalogue = await withApi(faces, options, { loads: false }, (api) =>
        api.json<FeatureCatalogue>('GET', '/api/v1/features'),
      )
      const found = (['views', 'services', 'sources', 'entities'] as const).flatMap((kind) =>
        catalogue[kind].filter((one) => one.name === name).map((one) => ({ of: KIND_OF[kind], ...one })),
      )
      if (found.length === 0) throw FeatureErrors.NAME_UNKNOWN({ name, suggestion: undefined })
      if (options.json) return printJson(found)
      print(found.map(describe).join('\n\n'))
    })

  features
    .command('status')
    .description('what requests read of each view, how fresh it is, the last materialisation, alerts')
    .addHelpText('after', '\nExample:\n  headrace features status\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const status = await withApi(faces, options, { loads: false }, (api) =>
        api.json<FeatureStatus>('GET', '/api/v1/features/status'),
      )
      if (options.json) return printJson(status)
      const rows = status.views.map(({ view, live, filling, freshnessMs, lastMaterialised: last }) => [
        view,
        live ?? 'nothing yet',
        freshnessMs === null ? '' : ageText(freshnessMs),
        last === null ? '' : `${last.state}, ${last.keys} keys`,
        filling.length === 0 ? shortText(last?.problem ?? '') : `filling ${filling.join(', ')}`,
      ])
      print(table(['view', 'live table', 'newest', 'materialised', ''], rows))
      print(`\nThe online store (${status.store.kind}) ${status.store.isReachable ? 'answers' : 'does not answer'}.`)
      for (const { alert, message } of status.alerts) print(`${alert}: ${message}`)
    })

  features
    .command('lineage')
    .argument('[name]', 'a source, view, feature, service, model or endpoint; default everything')
    .description('what flows into what: source, view, feature, service, model version, endpoint')
    .addHelpText('after', '\nExamples:\n  headrace features lineage\n  headrace features lineage spend_30d\n')
    .action(async (name: string | undefined, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const query = name === undefined ? '' : `?name=${encodeURIComponent(name)}`
      const lineage = await withApi(faces, options, { loads: true }, (api) =>
        api.json<Lineage>('GET', `/api/v1/features/lineage${query}`),
      )
      if (options.json) return printJson(lineage)
      print(lineageTree(lineage))
    })

  addFeatureReading(features, faces)
  addFeatureWork(features, faces)
}

const KIND_OF = { views: 'view', services: 'service', sources: 'source', entities: 'entity' } as const

function describe(found: { readonly of: string; readonly name: string }): string {
  const { of, name, features, ...facts } = found as { of: string; name: string } & Partial<ViewFacts>
  const lines = [`${of} ${name}`]
  for (const [fact, value] of Object.entries(facts)) {
    const text = factText(value)
    if (text !== '') lines.push(`  ${fact}: ${text}`)
  }
  if (features) {
    const rows = features.map((feature) => {
      const { type, default: fallback } = feature
      const from =
        'view' in feature
          ? `${String(feature.view)}:${String((feature as { feature?: unknown }).feature)}`
          : feature.meaning
      return [`  ${feature.name}`, type, from, fallback === null ? '' : `default ${JSON.stringify(fallback)}`]
    })
    lines.push('', table(['  feature', 'type', 'is', ''], rows))
  }
  return lines.join('\n')
}

function factText(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (!Array.isArray(value)) return String(value)
  return value
    .map((one: unknown) =>
      typeof one === 'object' && one !== null
        ? `${(one as { name: string }).name} ${(one as { type: string }).type}`
        : String(one),
    )
    .join(', ')
}

/** From what nothing feeds down to what feeds nothing. What has several feeds stands under each, its own only under the first. */
function lineageTree({ nodes, edges }: Lineage): string {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const fed = new Set(edges.map(({ to }) => to))
  const next = new Map<string, string[]>()
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to])
  const shown = new Set<string>()
  const lines: string[] = []
  function show(id: string, depth: number): void {
    const { kind, name, owner } = byId.get(id)!
    const below = next.get(id) ?? []
    const isAgain = shown.has(id) && below.length > 0
    shown.add(id)
    lines.push(`${'  '.repeat(depth)}${kind} ${name}${owner === '' ? '' : `  (${owner})`}${isAgain ? '  …' : ''}`)
    if (!isAgain) for (const other of below) show(other, depth + 1)
  }
  for (const { id } of nodes) if (!fed.has(id)) show(id, 0)
  return lines.join('\n')
}
