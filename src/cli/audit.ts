// `headrace audit`: the decisions as a record that proves itself. Each row carries the hash of the one before, so that a row which was
// changed, taken out or put in breaks the chain from there on.
import process from 'node:process'
import type { Command } from 'commander'
import type { Decision, Verification } from '../decisions/index.js'
import { type Api, type Faces, withApi } from './context.js'
import { globalOptions, wholeNumber } from './options.js'
import { EXIT, print, printJson, table } from './output.js'

const PAGE = 1000

export function addAudit(program: Command, faces: Faces): void {
  const audit = program.command('audit').description('verify, list and export the record of decisions')

  audit
    .command('verify')
    .description('recompute the chain of hashes; fails when a row is not as it was written')
    .addHelpText('after', '\nExample:\n  headrace audit verify\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const { result, broken } = await withApi(faces, options, { loads: false }, async (api) => {
        const verified = await api.json<Verification>('GET', '/api/v1/decisions/verify')
        return { result: verified, broken: verified.ok ? undefined : await rowOf(api, verified.number) }
      })
      if (options.json) printJson(broken === undefined ? result : { ...result, row: broken })
      else if (result.ok) print(`${result.count} decisions, the chain holds. Head: ${result.head}`)
      else {
        print(`Decision ${result.number} is not as it was written: ${result.reason}`)
        if (broken !== undefined) print(JSON.stringify(broken, null, 2))
      }
      if (!result.ok) process.exitCode = EXIT.failed
    })

  audit
    .command('list')
    .option('--limit <number>', 'how many', wholeNumber, 50)
    .option('--by <name>', 'only decisions of this person or rule')
    .option('--kind <kind>', 'only decisions of this kind: key.create, alias.set, …')
    .description('who changed what, newest first')
    .addHelpText('after', '\nExample:\n  headrace audit list --by ci\n')
    .action(async (own: { limit: number; by?: string; kind?: string }, command: Command) => {
      const options = globalOptions(command)
      const decisions = await withApi(faces, options, { loads: false }, async (api) => {
        const found: Decision[] = []
        for await (const decision of newestFirst(api, own.kind)) {
          if (own.by !== undefined && decision.by.name !== own.by) continue
          found.push(decision)
          if (found.length >= own.limit) break
        }
        return found
      })
      if (options.json) return printJson({ decisions })
      const rows = decisions.map(({ number, timeMs, by, change, undoes }) => [
        number,
        new Date(timeMs).toISOString(),
        `${by.kind} ${by.name}`,
        undoes === null ? change.kind : `undo ${change.kind}`,
        change.subject,
      ])
      print(table(['number', 'time', 'by', 'change', 'subject'], rows))
    })

  audit
    .command('export')
    .description('every decision with its hashes, a JSON object per line, newest first')
    .addHelpText('after', '\nExample:\n  headrace audit export > audit.ndjson\n')
    .action(async (_: unknown, command: Command) => {
      await withApi(faces, globalOptions(command), { loads: false }, async (api) => {
        for await (const decision of newestFirst(api, undefined)) print(JSON.stringify(decision))
      })
    })
}

async function* newestFirst(api: Api, kind: string | undefined): AsyncGenerator<Decision> {
  let before: number | undefined
  for (;;) {
    const query = new URLSearchParams({
      limit: String(PAGE),
      ...(kind !== undefined && { kind }),
      ...(before !== undefined && { before: String(before) }),
    })
    const { decisions } = await api.json<{ decisions: Decision[] }>('GET', `/api/v1/decisions?${query}`)
    yield* decisions
    const last = decisions.at(-1)
    if (last === undefined || decisions.length < PAGE || last.number <= 1) return
    before = last.number
  }
}

/** As it is now; undefined when it is missing, or so damaged that it cannot be read. */
async function rowOf(api: Api, number: number): Promise<Decision | undefined> {
  try {
    const { decisions } = await api.json<{ decisions: Decision[] }>(
      'GET',
      `/api/v1/decisions?limit=1&before=${number + 1}`,
    )
    return decisions.find((decision) => decision.number === number)
  } catch {
    return undefined // The verdict stands without it.
  }
}
