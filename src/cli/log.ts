// `headrace log`: SQL over the prediction log, and following it.
import process from 'node:process'
import type { Command } from 'commander'
import type { QueryResult } from '../log/index.js'
import { type Faces, withApi } from './context.js'
import { globalOptions } from './options.js'
import { print, printJson, table } from './output.js'

export function addLog(program: Command, faces: Faces, integer: (text: string) => number): void {
  const log = program.command('log').description('query and follow the prediction log')

  log
    .command('query')
    .argument('<sql>', 'one SELECT; views: predictions, calls, outcomes, decisions, records')
    .option('--limit <rows>', 'rows printed at most', integer, 1000)
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
    .option('--from <position>', 'first record; default: from now on')
    .option('--limit <records>', 'end after so many', integer)
    .description('follow the log, a JSON record per line, until interrupted')
    .addHelpText('after', '\nExample:\n  headrace log tail --from 1 --limit 10\n')
    .action(async ({ from, limit }: { from?: string; limit?: number }, command: Command) => {
      const query = new URLSearchParams({
        from: from ?? 'now',
        ...(limit === undefined ? {} : { limit: String(limit) }),
      })
      await withApi(faces, globalOptions(command), { loads: false }, async (api) => {
        const response = await api.request('GET', `/api/v1/log/tail?${query}`)
        for await (const chunk of response.body ?? []) process.stdout.write(chunk as Uint8Array)
      })
    })
}

function cell(value: unknown): string {
  if (value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
