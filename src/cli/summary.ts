// What a server serves, for a person who has just started it.
import { type App, endpointViews, modelViews } from '../app/index.js'
import { packageVersion } from './context.js'
import { shortText, table } from './output.js'

export async function servedSummary(app: App, url: string, grpcAddress: string | undefined): Promise<string> {
  const models = (await modelViews(app)).flatMap(({ name, versions }) =>
    versions.map(({ version, state, reason }) => [name, version, state, shortText(reason ?? '', 100)]),
  )
  const endpoints = endpointViews(app).map(({ name, ready, model, version }) => [
    name,
    ready ? `${model}/${version}` : 'not ready',
  ])
  const processes = app.peers ? ` with ${app.peers.processes} processes` : ''
  return [
    table(['model', 'version', 'state', ''], models),
    '',
    table(['endpoint', 'answers'], endpoints),
    '',
    `Headrace ${packageVersion} serves at ${url}${processes}`,
    ...(grpcAddress === undefined ? [] : [`  gRPC                ${grpcAddress}`]),
    `  API and try-it-out  ${url}/api/docs`,
    `  metrics             ${url}/metrics`,
    `  data folder         ${app.project.dataDir}`,
  ].join('\n')
}
