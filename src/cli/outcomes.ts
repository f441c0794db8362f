// `headrace outcomes`: what turned out later about predictions.
import type { Command } from 'commander'
import { type Faces, withApi } from './context.js'
import { CliErrors } from './errors.js'
import { globalOptions } from './options.js'
import { print, printJson } from './output.js'

export function addOutcomes(program: Command, faces: Faces): void {
  const outcomes = program.command('outcomes').description('tell what turned out about predictions')

  outcomes
    .command('add')
    .argument('<endpoint>', 'that made the prediction')
    .argument('<prediction>', 'its id, or id#row')
    .argument('<outcomes...>', 'name=value; true, false and numbers are read as such')
    .description('tell what turned out about a prediction')
    .addHelpText(
      'after',
      '\nExample:\n  headrace outcomes add fraud 0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b chargeback=true amount=12.5\n',
    )
    .action(async (endpoint: string, prediction: string, given: string[], _: unknown, command: Command) => {
      const options = globalOptions(command)
      const body = { outcomes: given.map((text) => ({ prediction, ...parse(text) })) }
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ taken: number }>('POST', `/api/v1/outcomes/${encodeURIComponent(endpoint)}`, body),
      )
      if (options.json) printJson(answer)
      else print(`kept ${answer.taken} outcome${answer.taken === 1 ? '' : 's'} of ${prediction}`)
    })
}

function parse(text: string): { name: string; value: string | number | boolean } {
  const at = text.indexOf('=')
  if (at < 1) throw CliErrors.USAGE({ problem: `"${text}" is not name=value.`, help: 'headrace outcomes add --help' })
  const value = text.slice(at + 1)
  return { name: text.slice(0, at), value: valueIn(value) }
}

function valueIn(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}
