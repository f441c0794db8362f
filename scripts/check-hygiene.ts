// What no compiler sees: notes left in the sources, paths of somebody's machine, hosts of registries in tracked files.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

interface Rule {
  readonly applies: (file: string) => boolean
  readonly pattern: RegExp
  readonly problem: string
}

const RULES: readonly Rule[] = [
  {
    applies: (file) => file.startsWith('src/'),
    pattern: /\b(TODO|FIXME|XXX)\b/,
    problem: 'is a note to do something: do it, or open an issue',
  },
  {
    applies: () => true,
    // A path that begins like this exists on one machine only. Inside a URL or a longer path it means something else.
    pattern: /(?<![\w.:/~-])\/(?:home|Users|root|work|mnt|tmp)\/[\w.-]+/,
    problem: 'is a path of one machine: write it relative, or ask the system for its temporary folder',
  },
  {
    applies: () => true,
    pattern: /\b(?:registry\.(?:npmjs|yarnpkg|npmmirror)|(?:test\.)?pypi|files\.pythonhosted|deb\.debian)\.\w+/,
    problem: 'is the host of a registry: which one is used is a setting of the machine',
  },
]

/** Problems of one file, as `file:line "what" problem`. */
export function checkHygiene(file: string, text: string): string[] {
  const rules = RULES.filter((rule) => rule.applies(file))
  return text.split('\n').flatMap((line, index) =>
    rules.flatMap(({ pattern, problem }) => {
      const found = pattern.exec(line)?.[0]
      return found === undefined ? [] : [`${file}:${index + 1} "${found}" ${problem}`]
    }),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL('../', import.meta.url))
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root })
  for (const file of files.toString().split('\0')) {
    if (file === '' || file === 'scripts/check-hygiene.test.ts') continue
    let bytes: Buffer
    try {
      bytes = readFileSync(root + file)
    } catch {
      continue // Deleted, and not yet committed.
    }
    if (bytes.subarray(0, 8000).includes(0)) continue // A model, an image: not text.
    for (const problem of checkHygiene(file, bytes.toString())) {
      console.error(problem)
      process.exitCode = 1
    }
  }
}
