// `headrace profile`: what a version costs on this machine, as a table, a plot on the terminal, and an SVG file.
import type { Command } from 'commander'
import { type Profile, parseVersion } from '../app/index.js'
import { type Faces, withApi } from './context.js'
import { CliErrors } from './errors.js'
import { runLong } from './long-work.js'
import { globalOptions } from './options.js'
import { print, printJson, shortNumber, table } from './output.js'
import { writeOutput } from './output-file.js'
import { profileSvg } from './profile-svg.js'

interface ProfileOptions {
  readonly plot?: string
  readonly rows?: string
  readonly concurrency?: string
}

export function addProfile(program: Command, faces: Faces): void {
  program
    .command('profile')
    .argument('<version>', 'model@version: fraud@4')
    .option('--rows <list>', 'rows of a call, separated by commas; default 1,2,4,8,16,32,64')
    .option('--concurrency <list>', 'callers at once, separated by commas; default 1,2,4,8,16')
    .option('--plot <file>', 'also draw it as an SVG file')
    .description('measure latency and throughput of a version by batch size and callers, and its memory')
    .addHelpText('after', '\nExample:\n  headrace profile fraud@4 --plot fraud.svg\n')
    .action(async (text: string, own: ProfileOptions, command: Command) => {
      const options = globalOptions(command)
      const { model, version } = parseVersion(text)
      const body = {
        ...(own.rows === undefined ? {} : { batchSizes: numbers(own.rows, '--rows') }),
        ...(own.concurrency === undefined ? {} : { concurrencies: numbers(own.concurrency, '--concurrency') }),
      }
      const profile = await withApi(faces, options, { loads: true }, (api) =>
        runLong<Profile>(api, `/api/v1/gates/profiles/${encodeURIComponent(model)}/${version}`, body),
      )
      if (own.plot !== undefined) await writeOutput(own.plot, profileSvg(profile))
      if (options.json) printJson(profile)
      else print(describe(profile, own.plot))
    })
}

function numbers(text: string, option: string): number[] {
  const found = text.split(',').map((part) => Number(part.trim()))
  if (found.every((number) => Number.isInteger(number) && number > 0)) return found
  throw CliErrors.USAGE({
    problem: `${option} takes whole numbers separated by commas.`,
    help: 'headrace profile --help',
  })
}

const WIDTH = 40

function describe(profile: Profile, plot: string | undefined): string {
  const { machine, memory, batches, callers, cost, recommended, noise } = profile
  const ms = (value: number) => value.toFixed(value < 10 ? 2 : 1)
  const head = ['', 'p50 ms', 'p95 ms', 'p99 ms', 'rows/s', '']
  const most = Math.max(...batches.concat(callers).map(({ rowsPerSecond }) => rowsPerSecond))
  const line = (name: string, { p50Ms, p95Ms, p99Ms, rowsPerSecond }: Profile['batches'][number]) => [
    name,
    ms(p50Ms),
    ms(p95Ms),
    ms(p99Ms),
    Math.round(rowsPerSecond),
    '█'.repeat(Math.max(1, Math.round((rowsPerSecond / most) * WIDTH))),
  ]
  const parts = [
    `${profile.model}@${profile.version} on ${machine.cpus} × ${machine.cpu}, load ${machine.load.toFixed(2)}, Node ${machine.node}`,
    '',
    table(
      ['rows a call', ...head.slice(1)],
      batches.map((measured) => line(String(measured.rows), measured)),
    ),
    '',
    table(
      ['callers', ...head.slice(1)],
      callers.map((measured) => line(String(measured.concurrency), measured)),
    ),
    '',
  ]
  if (cost !== null) {
    parts.push(
      `A run costs ${shortNumber(cost.rowMs)} ms a row and ${shortNumber(cost.fixedMs)} ms by itself; sizes are off that line by at most ${Math.round(100 * cost.worstResidual)} %.`,
    )
  }
  if (recommended !== null)
    parts.push(`Set batching.maxBatchSize to ${recommended.maxBatchSize}. ${recommended.reason}`)
  parts.push(`Memory: ${(memory.sizeBytes / 2 ** 20).toFixed(1)} MiB${memory.isMeasured ? '' : ' (an estimate)'}.`)
  if (noise > 0.5)
    parts.push(
      `The machine was noisy: repeats differ by up to ${Math.round(100 * noise)} %. Measure again when it is quiet.`,
    )
  if (plot !== undefined) parts.push(`Drawn in ${plot}.`)
  return parts.join('\n')
}
