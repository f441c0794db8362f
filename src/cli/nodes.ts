// `headrace nodes`: the servers of one metadata store.
import type { Command } from 'commander'
import type { NodeView } from '../app/index.js'
import { type Faces, withApi } from './context.js'
import { globalOptions } from './options.js'
import { print, printJson, table } from './output.js'

export function addNodes(program: Command, faces: Faces): void {
  const nodes = program.command('nodes').description('the servers of one metadata store')

  nodes
    .command('list')
    .description('every server, when it last reported, and what it serves')
    .addHelpText('after', '\nExample:\n  headrace nodes list\n')
    .action(async (_: unknown, command: Command) => {
      const options = globalOptions(command)
      const answer = await withApi(faces, options, { loads: false }, (api) =>
        api.json<{ nodes: NodeView[] }>('GET', '/api/v1/nodes'),
      )
      if (options.json) return printJson(answer)
      const rows = answer.nodes.map(
        ({ id, name, url, version, isSelf, isGone, reportedAgoMs, decision, processes }) => [
          id,
          `${name}${isSelf ? ' (this one)' : ''}`,
          url ?? '',
          version,
          isGone ? `gone for ${Math.round(reportedAgoMs / 1_000)} s` : 'here',
          decision,
          Math.max(0, ...processes.map(readyVersions)),
        ],
      )
      print(table(['node', 'name', 'url', 'version', 'state', 'decision', 'models ready'], rows))
    })
}

function readyVersions({ parts }: NodeView['processes'][number]): number {
  return (parts['versions'] as { readonly ready?: number } | undefined)?.ready ?? 0
}
