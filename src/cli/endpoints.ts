// `headrace endpoints`: what callers can name, and pointing one at another version.
import { Argument, type Command } from 'commander'
import type { EndpointView } from '../app/index.js'
import type { Decision } from '../decisions/index.js'
import { type Faces, withApi } from './context.js'
import { decisionLine } from './decision-line.js'
import { globalOptions } from './options.js'
import { print, printJson, table } from './output.js'

/** Who brings a feature of the model. */
function givenBy(name: string, { features, required }: NonNullable<EndpointView['served']>): string {
  if (required.includes(name)) return 'request'
  return features.find((feature) => feature.name === name)?.services.join(', ') ?? 'request'
}

export function addEndpoints(program: Command, faces: Faces): void {
  const endpoints = program.command('endpoints').description('list endpoints and point them at versions')

  endpoints
    .command('list')
    .description('every endpoint and the version that answers')
    .addHelpText('after', '\nExample:\n  headrace endpoints list\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const answer = await withApi(faces, options, { loads: true }, (api) =>
        api.json<{ endpoints: EndpointView[] }>('GET', '/api/v1/endpoints'),
      )
      if (options.json) return printJson(answer)
      const rows = answer.endpoints.map(({ name, origin, ready, model, version, cache, reason }) => [
        name,
        origin,
        ready ? `${model}/${version}` : 'not ready',
        cacheText(cache),
        reason ?? '',
      ])
      print(table(['endpoint', 'origin', 'answers', 'cache', ''], rows))
    })

  endpoints
    .command('show')
    .argument('<endpoint>')
    .description('one endpoint: its features and outputs')
    .addHelpText('after', '\nExample:\n  headrace endpoints show fraud\n')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const view = await withApi(faces, options, { loads: true }, (api) =>
        api.json<EndpointView>('GET', `/api/v1/endpoints/${encodeURIComponent(name)}`),
      )
      if (options.json) return printJson(view)
      print(`${view.name} (${view.origin}): ${view.ready ? `answers with ${view.model}/${view.version}` : view.reason}`)
      const { served } = view
      print(
        table(
          served === null ? ['feature', 'type'] : ['feature', 'type', 'from'],
          view.features.map(({ name, type }) => [name, type, ...(served === null ? [] : [givenBy(name, served)])]),
        ),
      )
      if (served !== null) {
        const keys = served.entities.map(
          ({ name, type, isRequired }) => `${name} (${type}${isRequired ? '' : ', optional'})`,
        )
        print(`entities: ${keys.join(', ') || 'none'}`)
        if (served.request.length > 0) print(`inputs of features: ${served.request.map(({ name }) => name).join(', ')}`)
      }
      print(
        table(
          ['output', 'meaning'],
          view.outputs.map((output) => [output.name, output.meaning]),
        ),
      )
      if (view.labels !== null) print(`labels: ${view.labels.join(', ')}`)
      if (view.cache !== null) print(`cache: ${cacheText(view.cache)}`)
    })

  endpoints
    .command('cache')
    .argument('<endpoint>')
    .addArgument(new Argument('<state>').choices(['on', 'off']))
    .option('--reason <text>', 'kept with the decision')
    .description('switch the cache of an endpoint on or off')
    .addHelpText('after', '\nExample:\n  headrace endpoints cache ranking off\n')
    .action(async (endpoint: string, state: string, { reason }: { reason?: string }, command: Command) => {
      const options = globalOptions(command)
      const decision = await withApi(faces, options, { loads: true }, (api) =>
        api.json<Decision>('POST', `/api/v1/endpoints/${encodeURIComponent(endpoint)}/cache`, {
          enabled: state === 'on',
          ...(reason === undefined ? {} : { reason }),
        }),
      )
      if (options.json) printJson(decision)
      else print(decisionLine(decision))
    })

  endpoints
    .command('point')
    .argument('<endpoint>')
    .argument('<model>')
    .argument('<version>', 'a number, "latest" or "@alias"')
    .option('--reason <text>', 'kept with the decision')
    .option('--force', "pass by the endpoint's gates; needs --reason")
    .description('point an endpoint at a version')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace endpoints point fraud fraud 2\n  headrace endpoints point fraud fraud @champion\n',
    )
    .action(
      async (
        endpoint: string,
        model: string,
        version: string,
        { reason, force }: { reason?: string; force?: true },
        command: Command,
      ) => {
        const options = globalOptions(command)
        const selected = version.startsWith('@')
          ? { alias: version.slice(1) }
          : /^\d+$/.test(version)
            ? Number(version)
            : version
        const decision = await withApi(faces, options, { loads: true }, (api) =>
          api.json<Decision>('PUT', `/api/v1/endpoints/${encodeURIComponent(endpoint)}/route`, {
            model,
            version: selected,
            ...(reason === undefined ? {} : { reason }),
            ...(force && { force }),
          }),
        )
        if (options.json) printJson(decision)
        else print(decisionLine(decision))
      },
    )
}

function cacheText(cache: EndpointView['cache']): string {
  if (cache === null) return ''
  if (!cache.enabled) return 'off'
  return cache.hitRate === null ? 'on' : `on, ${Math.round(cache.hitRate * 100)} % hits`
}
