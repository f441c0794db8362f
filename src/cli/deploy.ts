// `headrace deploy`: from a file or a version to an endpoint's traffic in one command: push, gates, approvals, release, and its end.
import { existsSync, statSync } from 'node:fs'
import { basename, extname } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { type ModelView, parseVersion } from '../app/index.js'
import { type HeadraceError, isName, type VersionRef } from '../core/index.js'
import type { GateReport, Release, ReleaseStatus } from '../release/index.js'
import { type Api, type Faces, withApi } from './context.js'
import { CliErrors } from './errors.js'
import { readInput } from './input-file.js'
import { progressLine, runLong } from './long-work.js'
import { describeReport, reportPath } from './models-gates.js'
import { globalOptions } from './options.js'
import { EXIT, print, printJson } from './output.js'

interface DeployOptions {
  readonly endpoint?: string
  readonly model?: string
  readonly manifest?: string
  readonly plan?: string
  readonly watch?: true
  readonly skipGates?: true
  readonly reason?: string
}

/** How often the server is asked; a version that was pushed shows up within a second. */
const POLL_MS = 250
const APPROVAL_POLL_MS = 2000
const LOAD_MS = 120_000

interface Deployed {
  readonly model: string
  readonly version: number
  readonly endpoint: string
  readonly gates: GateReport | null
  readonly release: Release | null
  /** `done`, `running`, `awaits-approval`, `gates-failed`, `aborted`, `rolled-back`. */
  readonly outcome: string
  readonly tookMs: number
}

export function addDeploy(program: Command, faces: Faces): void {
  program
    .command('deploy')
    .argument('<version-or-file>', 'model@version (fraud@4), or a model file, which is pushed first')
    .option('--model <model>', 'of a file: the name of its model; default the name of the file')
    .option('--manifest <file>', 'of a file: its model.json')
    .option('--endpoint <endpoint>', 'whose traffic it takes; default the one of the name of the model')
    .option('--plan <plan>', 'name or steps of the release; default instant')
    .option('--watch', 'wait for approvals and for the end of a release that takes long')
    .option('--skip-gates', 'pass by the gates; needs --reason and is recorded')
    .option('--reason <text>', 'kept with the decision')
    .description('push, check, approve and release a version; fails when a gate fails or the release is rolled back')
    .addHelpText(
      'after',
      '\nExamples:\n  headrace deploy fraud@4 --plan instant\n  headrace deploy ./model.onnx --model fraud --plan standard\n',
    )
    .action(async (text: string, own: DeployOptions, command: Command) => {
      const options = globalOptions(command)
      if (own.skipGates && own.reason === undefined) usage('--skip-gates needs --reason.')
      const say = options.json ? () => undefined : print
      const deployed = await withApi(faces, options, { loads: true }, (api) => deploy(api, text, own, say))
      if (options.json) printJson(deployed)
      if (deployed.outcome !== 'done' && deployed.outcome !== 'running') process.exitCode = EXIT.failed
    })
}

async function deploy(api: Api, text: string, own: DeployOptions, say: (line: string) => void): Promise<Deployed> {
  const startedMs = performance.now()
  const ref = isFile(text) ? await push(api, text, own, say) : parseVersion(text)
  const { model, version } = ref
  const endpoint = own.endpoint ?? model
  await loaded(api, ref)
  const gates = own.skipGates ? null : await check(api, ref, endpoint, own, say)
  const ended = (outcome: string, release: Release | null): Deployed => ({
    model,
    version,
    endpoint,
    gates,
    release,
    outcome,
    tookMs: Math.round(performance.now() - startedMs),
  })
  if (gates?.passed === false) return ended(gates.awaitsApproval ? 'awaits-approval' : 'gates-failed', null)
  const started = await start(api, ref, endpoint, own)
  if (started === undefined) {
    say(`Endpoint ${endpoint} serves ${model}@${version} already.`)
    return ended('done', null)
  }
  say(
    `Release ${started.id} of ${model}@${version} on ${endpoint}: ${started.plan.text}, from version ${started.from}.`,
  )
  const release = await follow(api, started, own.watch === true, say)
  const { state, reason } = release
  const outcome = state === 'completed' ? 'done' : state === 'running' || state === 'paused' ? 'running' : state
  const result = ended(outcome, release)
  if (outcome === 'done')
    say(`Endpoint ${endpoint} serves ${model}@${version}, ${(result.tookMs / 1000).toFixed(1)} s after the command.`)
  else if (outcome === 'running') say(`It goes on by itself. Follow it with "headrace release status ${endpoint}".`)
  else
    say(
      `The release was ${outcome}: ${reason ?? 'no reason given'}. Endpoint ${endpoint} serves version ${release.from}.`,
    )
  return result
}

function isFile(text: string): boolean {
  if (!existsSync(text)) {
    if (/[@/]v?\d+$/.test(text)) return false
    usage(`"${text}" is neither a file nor model@version.`)
  }
  if (statSync(text).isFile()) return true
  usage(`"${text}" is a folder; give a model file, or model@version.`)
}

async function push(api: Api, file: string, own: DeployOptions, say: (line: string) => void): Promise<VersionRef> {
  const model = own.model ?? basename(file, extname(file))
  if (!isName(model)) usage(`"${model}" is no name of a model; give one with --model.`)
  const [bytes, manifest] = await Promise.all([
    readInput(file),
    own.manifest === undefined ? Buffer.alloc(0) : readInput(own.manifest),
  ])
  const response = await api.request('POST', `/api/v1/models/${encodeURIComponent(model)}/versions?allowSame=false`, {
    body: Buffer.concat([manifest, bytes]),
    headers: { 'Content-Type': 'application/octet-stream', 'Headrace-Manifest-Length': String(manifest.length) },
  })
  const { version } = (await response.json()) as { version: number }
  say(`Pushed ${file} as ${model}@${version}.`)
  return parseVersion(`${model}@${version}`)
}

/** Waits until the server knows the version; gates say whether it loads. */
async function loaded(api: Api, { model, version }: VersionRef): Promise<void> {
  const untilMs = performance.now() + LOAD_MS
  for (;;) {
    const { models } = await api.json<{ models: ModelView[] }>('GET', '/api/v1/models')
    const found = models.find(({ name }) => name === model)?.versions.find((view) => view.version === version)
    const isOver = found !== undefined && found.state !== 'loading'
    if (isOver || performance.now() > untilMs) return
    await sleep(POLL_MS)
    // One that the server never heard of is told by the gates, at once.
    if (found === undefined && performance.now() > untilMs - LOAD_MS + 5000) return
  }
}

async function check(
  api: Api,
  ref: VersionRef,
  endpoint: string,
  { watch }: DeployOptions,
  say: (line: string) => void,
): Promise<GateReport> {
  const report = await runLong<GateReport>(api, reportPath(ref, endpoint), { forRelease: true })
  say(describeReport(report))
  if (!report.awaitsApproval || !watch) return report
  say('Waiting for approvals.')
  for (;;) {
    await sleep(APPROVAL_POLL_MS)
    const now = await api.json<GateReport>('POST', reportPath(ref, endpoint), { only: ['approvals'], forRelease: true })
    const approvals = now.results.filter(({ gate }) => gate === 'approvals')
    const results = [...report.results.filter(({ gate }) => gate !== 'approvals'), ...approvals]
    if (now.passed) return { ...report, results, passed: true, awaitsApproval: false }
    if (!now.awaitsApproval) {
      say(approvals[0]!.summary)
      return { ...report, results, awaitsApproval: false }
    }
  }
}

/** Undefined when the version is served already: where `latest` is served, a push is enough. */
function start(
  api: Api,
  { model, version }: VersionRef,
  endpoint: string,
  { plan = 'instant', skipGates, reason }: DeployOptions,
): Promise<Release | undefined> {
  const body = {
    endpoint,
    model,
    to: version,
    plan,
    ...(skipGates && { skipGates }),
    ...(reason !== undefined && { reason }),
  }
  return api.json<Release>('POST', '/api/v1/releases', body).catch((error: HeadraceError) => {
    if (error.code === 'RELEASE_ALREADY_LIVE') return undefined
    throw error
  })
}

/** Until it is over; without `watch`, only of a plan that ends at once. */
async function follow(api: Api, started: Release, watch: boolean, say: (line: string) => void): Promise<Release> {
  const isLong = started.plan.steps.some(({ length }) => (length.durationMs ?? 0) > 0 || (length.units ?? 0) > 0)
  const tell = progressLine()
  let told = ''
  try {
    for (;;) {
      const { release, progress } = await api.json<ReleaseStatus>('GET', `/api/v1/releases/${started.id}`)
      const isOver = release.state !== 'running' && release.state !== 'paused'
      if (isOver || (isLong && !watch)) return release
      if (progress.summary !== told) tell(progress.summary)
      told = progress.summary
      await sleep(POLL_MS)
    }
  } finally {
    tell(undefined)
    if (watch && told !== '') say(told)
  }
}

function usage(problem: string): never {
  throw CliErrors.USAGE({ problem, help: 'headrace deploy --help' })
}
