// `headrace chaos`: breaks a running server on purpose, for as long as is said, and says what is broken.
import { Argument, type Command, InvalidArgumentError } from 'commander'
import type { FaultView } from '../app/index.js'
import { type Api, type Faces, type GlobalOptions, withApi } from './context.js'
import { CliErrors } from './errors.js'
import { globalOptions, wholeNumber } from './options.js'
import { print, printJson, table } from './output.js'

interface Target {
  readonly model: string
  readonly version?: number
}

interface Lasting {
  readonly for?: number
}

export function addChaos(program: Command, faces: Faces): void {
  const chaos = program
    .command('chaos')
    .description('break a server that was started with "serve --chaos", and heal it')
    .addHelpText('after', '\nEvery fault heals by itself. Faults are decisions: "headrace decisions list" has them.\n')

  /** Faults are of a server that runs: one opened for this command would end with it. */
  function withServer<T>(options: GlobalOptions, work: (api: Api) => Promise<T>): Promise<T> {
    return withApi(faces, options, { loads: false }, (api) => {
      if (api.isOwn)
        throw CliErrors.USAGE({
          problem: 'No server is running for this project; start one with "headrace serve --chaos".',
          help: 'headrace chaos --help',
        })
      return work(api)
    })
  }

  async function inject(command: Command, path: string, body: object): Promise<void> {
    const options = globalOptions(command)
    const fault = await withServer(options, (api) => api.json<FaultView>('POST', `/api/v1/chaos/${path}`, body))
    if (options.json) return printJson(fault)
    const seconds = Math.round((Date.parse(fault.endsAt) - Date.parse(fault.startedAt)) / 1000)
    print(seconds === 0 ? `${fault.summary}: done` : `${fault.summary}, for ${seconds} s (${fault.id})`)
  }

  /** A verb whose fault lasts. */
  function verb(name: string, description: string, example: string): Command {
    return chaos
      .command(name)
      .description(description)
      .option('--for <seconds>', 'how long (default: 30)', seconds)
      .addHelpText('after', `\nExample:\n  headrace chaos ${example}\n`)
  }

  verb('delay', 'make each run of a model take longer', 'delay fraud/2 --ms 300')
    .argument('<model[/version]>', 'a model, or one of its versions', versionOf)
    .requiredOption('--ms <number>', 'by how many milliseconds', wholeNumber)
    .action((target: Target, own: Lasting & { ms: number }, command: Command) =>
      inject(command, 'delay', { ...target, ms: own.ms, ...lasting(own) }),
    )

  verb('error', 'make runs of a model fail', 'error fraud/2 --rate 0.5 --for 60')
    .argument('<model[/version]>', 'a model, or one of its versions', versionOf)
    .option('--rate <share>', 'share of the runs that fail, 0 to 1 (default: 1)', share)
    .action((target: Target, own: Lasting & { rate?: number }, command: Command) =>
      inject(command, 'error', { ...target, ...(own.rate === undefined ? {} : { rate: own.rate }), ...lasting(own) }),
    )

  verb('hang', 'make runs of a model never end', 'hang fraud/2 --for 10')
    .argument('<model[/version]>', 'a model, or one of its versions', versionOf)
    .action((target: Target, own: Lasting, command: Command) => inject(command, 'hang', { ...target, ...lasting(own) }))

  chaos
    .command('kill')
    .argument('[model[/version]]', 'end the thread or process that runs this; without it, a worker process', versionOf)
    .description('end a worker process of "serve --processes N", or the thread or process that runs a model')
    .addHelpText('after', '\nExamples:\n  headrace chaos kill\n  headrace chaos kill fraud/2\n')
    .action((target: Target | undefined, _: unknown, command: Command) =>
      target === undefined ? inject(command, 'kill/worker', {}) : inject(command, 'kill/thread', target),
    )

  verb('redis', 'drop the connections to Redis, or slow them', 'redis slow --ms 500')
    .addArgument(new Argument('<drop|slow>').choices(['drop', 'slow']))
    .option('--ms <number>', 'by how many milliseconds slow (default: 1000)', wholeNumber)
    .action((mode: string, own: Lasting & { ms?: number }, command: Command) =>
      inject(command, 'redis', { mode, ...(own.ms === undefined ? {} : { ms: own.ms }), ...lasting(own) }),
    )

  verb('disk-full', 'make writes of the log and of the metadata store fail', 'disk-full --for 10').action(
    (own: Lasting, command: Command) => inject(command, 'disk-full', lasting(own)),
  )

  verb('clock-skew', 'put the clock wrong', 'clock-skew --ms 3600000')
    .requiredOption('--ms <number>', 'by how many milliseconds; below zero is into the past', signedNumber)
    .option('--monotonic', 'the monotonic clock jumps, not the wall clock; that stays when the fault is over')
    .action((own: Lasting & { ms: number; monotonic?: true }, command: Command) =>
      inject(command, 'clock-skew', { ms: own.ms, clock: own.monotonic ? 'monotonic' : 'wall', ...lasting(own) }),
    )

  chaos
    .command('status')
    .description('what is broken now, and until when')
    .addHelpText('after', '\nExample:\n  headrace chaos status\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const answer = await withServer(options, (api) =>
        api.json<{ enabled: boolean; faults: FaultView[] }>('GET', '/api/v1/chaos'),
      )
      if (options.json) return printJson(answer)
      if (!answer.enabled) return print('This server takes no faults; start it with "headrace serve --chaos".')
      if (answer.faults.length === 0) return print('Nothing is broken.')
      const rows = answer.faults.map(({ id, summary, startedAt, endsAt }) => [summary, startedAt, endsAt, id])
      print(table(['fault', 'since', 'until', 'id'], rows))
    })

  chaos
    .command('heal')
    .argument('[fault]', 'id of a fault; without it, every fault')
    .description('end a fault before its time')
    .addHelpText('after', '\nExample:\n  headrace chaos heal\n')
    .action(async (id: string | undefined, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const path = id === undefined ? '' : `/${encodeURIComponent(id)}`
      const answer = await withServer(options, (api) =>
        api.json<{ healed: number }>('DELETE', `/api/v1/chaos/faults${path}`),
      )
      if (options.json) return printJson(answer)
      print(`${answer.healed} ${answer.healed === 1 ? 'fault' : 'faults'} healed`)
    })
}

function lasting({ for: seconds }: Lasting): { durationMs?: number } {
  return seconds === undefined ? {} : { durationMs: Math.round(seconds * 1000) }
}

function versionOf(text: string): Target {
  const match = /^([^/]+)(?:\/([1-9]\d*))?$/.exec(text)
  if (!match) throw new InvalidArgumentError('Give a model, or a version as model/2.')
  return { model: match[1]!, ...(match[2] === undefined ? {} : { version: Number(match[2]) }) }
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('Give seconds, more than 0.')
  return value
}

function share(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError('Give a share, more than 0 and at most 1.')
  return value
}

function signedNumber(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new InvalidArgumentError('Give a whole number.')
  return Number(text)
}
