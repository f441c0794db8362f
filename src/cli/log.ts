// `headrace log`: SQL over the prediction log, and following it.
import process from 'node:process'
import type { Command } from 'commander'
import type { QueryResult } from '../log/index.js'
import { type Faces, withApi } from './context.js'
import { followLog } from './follow-log.js'
import { globalOptions, wholeNumber } from './options.js'
import { print, printJson, shortText, table } from './output.js'

export function addLog(program: Command, faces: Faces): void {
  const log = program.command('log').description('query and follow the prediction log')

  log
    .command('query')
    .argument('<sql>', 'one SELECT; views: predictions, calls, outcomes, decisions, records')
    .option('--limit <rows>', 'rows printed at most', wholeNumber, 1000)
    .description('run SQL (DuckDB) over the log')
    .addHelpText(
      'after',
      '\nExample:\n  headrace log query "SELECT endpoint, count(*) AS n FROM predictions GROUP BY ALL"\n',
    )
    .action(async (sql: string, { limit }: { limit: number }, command: Command) => {
      const options = globalOptions(command)
      const result = await withApi(faces, options, { loads: false }, (api) =>
        api.json<QueryResult>('POST', '/api/v1/log/query', { sql, limit }),
      )
      if (options.json) return printJson(result)
      const rows = result.rows.map((row) => row.map(cell))
      print(
        table(
          result.columns.map(({ name }) => name),
          rows,
        ),
      )
      if (result.truncated) process.stderr.write(`Only the first ${limit} rows; raise --limit for more.\n`)
    })

  log
    .command('tail')
    .option('--from <position>', 'first record; default: from now on', wholeNumber)
    .option('--limit <records>', 'end after so many', wholeNumber)
    .description('follow the log, a JSON record per line, until interrupted; without a server, print it to its end')
    .addHelpText('after', '\nExample:\n  headrace log tail --from 1 --limit 10\n')
    .action(async (own: { from?: number; limit?: number }, command: Command) => {
      await withApi(faces, globalOptions(command), { loads: false }, async (api) => {
        const { from, limit } = api.isOwn ? await whatIsThere(own, api) : own
        if (limit !== 0) await followLog(api, { from, limit }, process.stdout)
      })
    })
}

/** Nobody adds to the log while a command has it open: the records that are there are all there will be. */
async function whatIsThere(
  { from, limit = Number.POSITIVE_INFINITY }: { readonly from?: number; readonly limit?: number },
  api: { json<T>(method: string, path: string, body?: unknown): Promise<T> },
): Promise<{ from: number; limit: number }> {
  const first = from ?? 1
  const { rows } = await api.json<QueryResult>('POST', '/api/v1/log/query', {
    sql: `SELECT count(*) FROM records WHERE seq >= ${first}`,
  })
  return { from: first, limit: Math.min(limit, Number(rows[0]?.[0] ?? 0)) }
}

/** Payloads are long: a table shows their beginning, `--json` all of it. */
function cell(value: unknown): string {
  if (value === null) return ''
  return shortText(typeof value === 'string' ? value : JSON.stringify(value), 48)
}
