// `headrace release`: starts releases, shows how far they are and why, and lets people step in.
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { type NamedPlan, type Release, type ReleaseStatus, stepText } from '../release/index.js'
import { type Api, type Faces, type GlobalOptions, withApi } from './context.js'
import { globalOptions, wholeNumber } from './options.js'
import { EXIT, print, printJson, table } from './output.js'

const POLL_MS = 500

interface StartOptions {
  readonly to: number
  readonly from?: number
  readonly model?: string
  readonly plan?: string
  readonly minUnits?: number
  readonly timeScale?: number
  readonly skipGates?: true
  readonly reason?: string
  readonly watch?: true
}

export function addRelease(program: Command, faces: Faces): void {
  const release = program.command('release').description('move an endpoint to another version step by step, and back')

  release
    .command('start')
    .argument('<endpoint>', 'whose traffic moves')
    .requiredOption('--to <version>', 'number of the new version', wholeNumber)
    .option(
      '--from <version>',
      'number of the version it takes the place of; default the one that is served',
      wholeNumber,
    )
    .option('--model <model>', 'which model, where the route has several')
    .option('--plan <plan>', 'name, or steps like shadow:1h,canary:5%/30m,100%; default the endpoint’s, else standard')
    .option('--min-units <number>', 'units that each step waits for', wholeNumber)
    .option(
      '--time-scale <factor>',
      'for demonstrations: the time of the plan passes so many times faster',
      wholeNumber,
    )
    .option('--skip-gates', 'pass by the gates; needs --reason and is recorded')
    .option('--reason <text>', 'kept with the decision')
    .option('--watch', 'follow it to its end; fails when it is not completed')
    .description('start a release')
    .addHelpText(
      'after',
      '\nExample:\n  headrace release start fraud --to 4 --plan shadow:1h,canary:5%/30m,25%/30m,100%\n',
    )
    .action(async (endpoint: string, own: StartOptions, command: Command) => {
      const options = globalOptions(command)
      const { watch, ...asked } = own
      await withApi(faces, options, { loads: true }, async (api) => {
        const started = await api.json<Release>('POST', '/api/v1/releases', { endpoint, ...asked })
        if (!options.json) print(releaseLine(started))
        else if (!watch) printJson(started)
        if (watch) await follow(api, started.id, options)
      })
    })

  release
    .command('list')
    .option('--endpoint <endpoint>', 'only those of this endpoint')
    .option('--state <state>', 'running, paused, completed, aborted or rolled-back')
    .option('--limit <number>', 'how many', wholeNumber, 50)
    .description('releases, newest first')
    .addHelpText('after', '\nExample:\n  headrace release list --state running\n')
    .action(async (own: { endpoint?: string; state?: string; limit: number }, command: Command) => {
      const options = globalOptions(command)
      const { endpoint, state, limit } = own
      const query = new URLSearchParams({
        limit: String(limit),
        ...(endpoint && { endpoint }),
        ...(state && { state }),
      })
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ releases: Release[] }>('GET', `/api/v1/releases?${query}`),
      )
      if (options.json) return printJson(answer)
      const rows = answer.releases.map((one) => [
        one.endpoint,
        `${one.model} ${one.from} -> ${one.to}`,
        one.state,
        `${one.step + 1}/${one.plan.steps.length} ${stepText(one.plan.steps[one.step]!)}`,
        new Date(one.startedMs).toISOString(),
        one.id,
      ])
      print(table(['endpoint', 'versions', 'state', 'step', 'started', 'id'], rows))
    })

  release
    .command('status')
    .argument('<release>', 'id, or the name of an endpoint')
    .option('--watch', 'follow it to its end; fails when it is not completed')
    .description('how far a release is and why, its guards, its decisions, and what each node does')
    .addHelpText('after', '\nExample:\n  headrace release status fraud\n')
    .action(async (id: string, own: { watch?: true }, command: Command) => {
      const options = globalOptions(command)
      await withApi(faces, options, { loads: false }, async (api) => {
        if (own.watch) return follow(api, id, options)
        const status = await api.json<ShownStatus>('GET', path(id))
        if (options.json) printJson(status)
        else print(describe(status))
      })
    })

  release
    .command('plans')
    .description('the plans there are')
    .addHelpText('after', '\nExample:\n  headrace release plans\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ plans: NamedPlan[] }>('GET', '/api/v1/releases/plans'),
      )
      if (options.json) return printJson(answer)
      print(
        table(
          ['plan', 'steps'],
          answer.plans.map(({ name, plan }) => [name, plan.steps.map(stepText).join(', ')]),
        ),
      )
    })

  release
    .command('promote')
    .argument('<release>', 'id, or the name of an endpoint')
    .option('--all', 'complete: all traffic, for good')
    .option('--reason <text>', 'kept with the decision')
    .description('go on to the next step, or complete')
    .addHelpText('after', '\nExample:\n  headrace release promote fraud --all --reason "checked by hand"\n')
    .action((id: string, own: { all?: true; reason?: string }, command: Command) =>
      act(faces, globalOptions(command), id, 'promote', own),
    )

  const acts = [
    ['pause', 'keep the weights as they are: time stands still, guards go on'],
    ['resume', 'let time go on'],
    ['abort', 'end it: the endpoint serves what it served before'],
    ['rollback', 'end it because of what the candidate did'],
  ] as const
  for (const [name, description] of acts)
    release
      .command(name)
      .argument('<release>', 'id, or the name of an endpoint')
      .option('--reason <text>', 'kept with the decision')
      .description(description)
      .addHelpText('after', `\nExample:\n  headrace release ${name} fraud --reason "checkout errors"\n`)
      .action((id: string, own: { reason?: string }, command: Command) =>
        act(faces, globalOptions(command), id, name, own),
      )
}

async function act(faces: Faces, options: GlobalOptions, id: string, name: string, body: object): Promise<void> {
  const release = await withApi(faces, options, { loads: false }, (api) =>
    api.json<Release>('POST', `${path(id)}/${name}`, body),
  )
  if (options.json) printJson(release)
  else print(releaseLine(release))
}

async function follow(api: Api, id: string, { json }: GlobalOptions): Promise<void> {
  let told = ''
  for (;;) {
    const status = await api.json<ShownStatus>('GET', path(id))
    const { state } = status.release
    const isOver = state !== 'running' && state !== 'paused'
    const { summary } = status.progress
    if (!json && summary !== told) print(summary)
    told = summary
    if (isOver) {
      if (json) printJson(status)
      if (state !== 'completed') process.exitCode = EXIT.failed
      return
    }
    await sleep(POLL_MS)
  }
}

function path(id: string): string {
  return `/api/v1/releases/${encodeURIComponent(id)}`
}

function releaseLine({ id, endpoint, model, from, to, state, plan, step }: Release): string {
  return `Release ${id} of ${model} ${from} -> ${to} on ${endpoint}: ${state}, step ${step + 1} of ${plan.steps.length} (${stepText(plan.steps[step]!)})`
}

/** To callers of a tenant the server says how far a release is, and no more. */
type ShownStatus = ReleaseStatus & { readonly isReduced: boolean }

function describe({ release, weight, timeScale, progress, guards, events, nodes, isReduced }: ShownStatus): string {
  const share = (value: number) => `${Math.round(value * 1000) / 10} %`
  const isOver = release.endedMs !== null
  const told = guards.filter(({ report }) => report.candidate + report.reference > 0)
  const silent = guards.length - told.length
  return [
    releaseLine(release),
    `  ${progress.summary}`,
    ...(timeScale === 1 ? [] : [`  Its time passes ${timeScale} times faster than clocks: a demonstration.`]),
    isReduced
      ? `  candidate ${share(weight)}`
      : `  candidate ${share(weight)}, ${progress.units} units, ${progress.controlUnits} of the control`,
    ...(isReduced ? [] : ['  guards:']),
    ...told.map(({ report }) => `    ${report.guard}: ${report.verdict}. ${report.summary}`),
    ...(silent === 0 ? [] : [`    ${silent} have seen nothing that they look for`]),
    ...(isOver ? [] : ['  nodes:']),
    ...(isOver ? [] : nodes).map(
      ({ node, revision, weight: actual, holdsLease, reason }) =>
        `    ${node}: ${revision === release.revision ? 'up to date' : `revision ${revision ?? 'none'} of ${release.revision}`}, ${share(actual)}${holdsLease ? '' : ', no lease'}${reason === null ? '' : ` (${reason})`}`,
    ),
    ...(isReduced ? [] : ['  decisions:']),
    ...events.map(
      ({ timeMs, by, summary }) => `    ${new Date(timeMs).toISOString()} ${by.kind} ${by.name}: ${summary}`,
    ),
  ].join('\n')
}
