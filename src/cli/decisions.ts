// `headrace decisions`: the history of what was changed, why and by whom, and taking a change back.
import process from 'node:process'
import type { Command } from 'commander'
import type { Decision, Explanation, Verification } from '../decisions/index.js'
import { type Faces, withApi } from './context.js'
import { decisionLine } from './decision-line.js'
import { globalOptions, wholeNumber } from './options.js'
import { EXIT, print, printJson, table } from './output.js'

export function addDecisions(program: Command, faces: Faces): void {
  const decisions = program.command('decisions').description('list, show, undo and verify decisions')

  decisions
    .command('list')
    .option('--limit <number>', 'how many', wholeNumber, 50)
    .option('--subject <subject>', 'only this model, alias or endpoint')
    .option(
      '--kind <kind>',
      'version.seen, alias.set, endpoint.point, cache.switch, breaker.open, breaker.close, chaos.inject or chaos.heal',
    )
    .description('decisions, newest first')
    .addHelpText('after', '\nExample:\n  headrace decisions list --kind alias.set\n')
    .action(async (own: { limit: number; subject?: string; kind?: string }, command: Command) => {
      const options = globalOptions(command)
      const { limit, subject, kind } = own
      const query = new URLSearchParams({ limit: String(limit), ...(subject && { subject }), ...(kind && { kind }) })
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ decisions: Decision[] }>('GET', `/api/v1/decisions?${query}`),
      )
      if (options.json) return printJson(answer)
      const rows = answer.decisions.map(({ number, timeMs, change, by, undoes, undoneBy, id }) => [
        number,
        new Date(timeMs).toISOString(),
        undoes === null ? change.kind : `undo ${change.kind}`,
        change.subject,
        `${by.kind} ${by.name}`,
        undoneBy === null ? '' : 'undone',
        id,
      ])
      print(table(['number', 'time', 'change', 'subject', 'by', '', 'id'], rows))
    })

  decisions
    .command('show')
    .argument('<decision>', 'id of a decision')
    .description('what a decision changed, why, and whether it can be undone')
    .addHelpText('after', '\nExample:\n  headrace decisions show 0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b\n')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const explanation = await withApi(faces, options, { loads: false }, (api) =>
        api.json<Explanation>('GET', `/api/v1/decisions/${encodeURIComponent(id)}`),
      )
      if (options.json) printJson(explanation)
      else print(describe(explanation))
    })

  decisions
    .command('undo')
    .argument('<decision>', 'id of a decision')
    .description('put back what a decision replaced')
    .addHelpText('after', '\nExample:\n  headrace decisions undo 0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b\n')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = globalOptions(command)
      const decision = await withApi(faces, options, { loads: false }, (api) =>
        api.json<Decision>('POST', `/api/v1/decisions/${encodeURIComponent(id)}/undo`),
      )
      if (options.json) printJson(decision)
      else print(decisionLine(decision))
    })

  decisions
    .command('verify')
    .description('recompute the chain of hashes; fails when a row is not as it was written')
    .addHelpText('after', '\nExample:\n  headrace decisions verify\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const result = await withApi(faces, options, { loads: false }, (api) =>
        api.json<Verification>('GET', '/api/v1/decisions/verify'),
      )
      if (options.json) printJson(result)
      else if (result.ok) print(`${result.count} decisions, the chain holds. Head: ${result.head}`)
      else print(`Decision ${result.number} is not as it was written: ${result.reason}`)
      if (!result.ok) process.exitCode = EXIT.failed
    })
}

function describe({ decision, summary, canUndo, reason, related }: Explanation): string {
  const evidence = Object.entries(decision.evidence).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`)
  return [
    summary,
    decisionLine(decision),
    `  at ${new Date(decision.timeMs).toISOString()}`,
    `  before: ${decision.before === null ? 'nothing' : JSON.stringify(decision.before)}`,
    ...evidence,
    canUndo ? `  Undo it with "headrace decisions undo ${decision.id}".` : `  It cannot be undone: ${reason}`,
    ...(related.length === 0 ? [] : ['  related:', ...related.map((other) => `    ${decisionLine(other)}`)]),
  ].join('\n')
}
