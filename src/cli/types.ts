// `headrace types`: TypeScript types of the served endpoints, for createClient<Project>().
import type { Command } from 'commander'
import { type Faces, withApi } from './context.js'
import { globalOptions } from './options.js'
import { print, printJson } from './output.js'
import { writeOutput } from './output-file.js'

export function addTypes(program: Command, faces: Faces): void {
  program
    .command('types')
    .option('--out <file>', 'file to write; default: standard output')
    .description('write TypeScript types of the endpoints for createClient<Project>()')
    .addHelpText('after', '\nExample:\n  headrace types --out src/headrace-types.ts\n')
    .action(async ({ out }: { out?: string }, command: Command) => {
      const options = globalOptions(command)
      const text = await withApi(faces, options, { loads: true }, async (api) =>
        (await api.request('GET', '/api/v1/types')).text(),
      )
      if (out !== undefined) await writeOutput(out, text)
      if (options.json) printJson(out === undefined ? { types: text } : { file: out })
      else print(out === undefined ? text.trimEnd() : `Wrote ${out}.`)
    })
}
