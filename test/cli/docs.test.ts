// docs/cli.md describes the commands there are, with their arguments and options, and no others.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../src/cli/main.js'
import { ROOT } from './support.js'

const program = createProgram({ startServer: () => Promise.reject(new Error('not here')) })
const page = readFileSync(join(ROOT, 'docs/cli.md'), 'utf8')

function leaves(command: Command, path: string): { usage: string; options: string[] }[] {
  if (command.commands.length > 0) return command.commands.flatMap((sub) => leaves(sub, `${path} ${sub.name()}`))
  const names = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name()
    return argument.required ? `<${name}>` : `[${name}]`
  })
  return [{ usage: [path, ...names].join(' '), options: command.options.map(({ flags }) => flags).sort() }]
}

/** Sections by heading, with the options in the first column of their tables. */
function sections(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const section of page.split(/^## /m).slice(1)) {
    const heading = section.slice(0, section.indexOf('\n')).replaceAll('`', '')
    found.set(heading, [...section.matchAll(/^\| `(--[^`]+)` +\|/gm)].map(([, flags]) => flags!).sort())
  }
  return found
}

describe('docs/cli.md', () => {
  it('has a section for each command with its arguments and options', () => {
    const documented = sections()
    const commands = leaves(program, 'headrace')
    for (const { usage, options } of commands)
      expect({ usage, options: documented.get(usage) }).toEqual({ usage, options })
    const others = [...documented.keys()].filter((heading) => !commands.some(({ usage }) => usage === heading))
    expect(others).toEqual(['Options of every command', 'Exit status'])
    const shared = program.options.map(({ flags }) => flags).filter((flags) => flags !== '-V, --version')
    expect(documented.get('Options of every command')).toEqual(shared.sort())
  })
})
