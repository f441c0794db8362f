// What a server serves, for a person who has just started it.
import { type App, endpointViews, modelViews } from '../app/index.js'
import { packageVersion } from './context.js'
import { shortText, table } from './output.js'

const MAX_RESTING = 20

const isResting = ({ state }: { readonly state: string }): boolean => state === 'resting'

export async function servedSummary(app: App, url: string, grpcAddress: string | undefined): Promise<string> {
  const views = await modelViews(app)
  const resting = new Set(views.filter(({ versions }) => versions.every(isResting)).map(({ name }) => name))
  // So many that nobody would find the others among them.
  const hidden = resting.size > MAX_RESTING ? resting : new Set()
  const models = views
    .filter(({ name }) => !hidden.has(name))
    .flatMap(({ name, versions }) =>
      versions.map(({ version, state, reason }) => [name, version, state, shortText(reason ?? '', 100)]),
    )
  const endpoints = endpointViews(app)
    .filter(({ name }) => !hidden.has(name))
    .map(({ name, ready, model, version }) => [name, ready ? `${model}/${version}` : 'not ready'])
  const processes = app.peers ? ` with ${app.peers.processes} processes` : ''
  return [
    ...(views.length === 0
      ? [
          `Nothing is served yet. Push a version: "headrace models push", or MLflow with MLFLOW_TRACKING_URI=${url}/mlflow`,
        ]
      : [table(['model', 'version', 'state', ''], models)]),
    ...(hidden.size === 0 ? [] : [`and ${hidden.size} that rest until somebody asks for them: headrace models list`]),
    ...(endpoints.length === 0 ? [] : ['', table(['endpoint', 'answers'], endpoints)]),
    '',
    `Headrace ${packageVersion} serves at ${url}${processes}`,
    ...(grpcAddress === undefined ? [] : [`  gRPC                ${grpcAddress}`]),
    `  API and try-it-out  ${url}/api/docs`,
    `  metrics             ${url}/metrics`,
    `  data folder         ${app.project.dataDir}`,
    `  callers             ${callersText(app)}`,
  ].join('\n')
}

/** Who is let in. */
function callersText({ access, project }: App): string {
  const { host, insecure } = project.config.server
  if (access.isOpen)
    return `everybody${insecure ? ` who reaches ${host}` : ' on this machine'}, for everything: make the first key with "headrace keys create --name admin --role admin"`
  const issuers = project.config.access.jwt.map(({ issuer }) => issuer)
  const open = project.config.access.openMetrics ? 'probes and metrics' : 'probes'
  return `those with a key${issuers.map((issuer) => ` or a token of ${issuer}`).join('')}; ${open} are open`
}
