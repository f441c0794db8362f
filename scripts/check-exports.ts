// The package's exports against the domains: one subpath per `src/<domain>/index.ts`, nothing missing, nothing more.
// `--write` puts the right exports into package.json.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

type Target = string | { readonly types: string; readonly default: string }
export type Exports = Readonly<Record<string, Target>>

/** Domains without a subpath: the command line is entered by the package's `bin`, not by an import. */
const NOT_EXPORTED = new Set(['cli'])
/** The domain that `import 'headrace'` gives. */
const ROOT = 'app'

const target = (domain: string): Target => ({
  types: `./dist/${domain}/index.d.ts`,
  default: `./dist/${domain}/index.js`,
})

/** The exports that these domains call for, in the order they are written. */
export function exportsOf(domains: Iterable<string>): Exports {
  const exports: Record<string, Target> = { '.': target(ROOT) }
  for (const domain of [...domains].sort()) {
    if (!NOT_EXPORTED.has(domain)) exports[`./${domain}`] = target(domain)
  }
  exports['./package.json'] = './package.json'
  return exports
}

/** The text of each domain's index.ts; undefined where there is none. */
export type Indexes = ReadonlyMap<string, string | undefined>

const domainsOf = (indexes: Indexes): string[] =>
  [...indexes].flatMap(([domain, text]) => (text === undefined ? [] : [domain]))

/** How package.json differs from the domains, as sentences. */
export function checkExports(actual: Exports, indexes: Indexes): string[] {
  const problems: string[] = []
  const wanted = exportsOf(domainsOf(indexes))
  for (const subpath of new Set([...Object.keys(wanted), ...Object.keys(actual)])) {
    if (JSON.stringify(wanted[subpath]) === JSON.stringify(actual[subpath])) continue
    const expected = wanted[subpath]
    problems.push(
      expected === undefined
        ? `package.json exports "${subpath}", which is no domain's index.ts`
        : `package.json exports "${subpath}" has to be ${JSON.stringify(expected)}: run "npm run generate:exports"`,
    )
  }
  return problems
}

/** What is wrong with the index files themselves, as sentences. */
export function checkIndexes(indexes: Indexes): string[] {
  const problems: string[] = []
  for (const [domain, text] of indexes) {
    if (NOT_EXPORTED.has(domain)) continue
    const file = `src/${domain}/index.ts`
    if (text === undefined) {
      problems.push(`${file} is missing: a domain is entered by its index.ts`)
      continue
    }
    if (!/^(?:\/\/ .+\n){3}/.test(text)) {
      problems.push(`${file} opens with fewer than three comment lines: say what the domain is for`)
    }
    if (/^export \*/m.test(text)) problems.push(`${file} has an "export *": name each public thing`)
  }
  return problems
}

function readIndexes(): Indexes {
  const src = new URL('../src/', import.meta.url)
  const indexes = new Map<string, string | undefined>()
  for (const entry of readdirSync(src, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const file = new URL(`${entry.name}/index.ts`, src)
    indexes.set(entry.name, existsSync(file) ? readFileSync(file, 'utf8') : undefined)
  }
  return indexes
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = new URL('../package.json', import.meta.url)
  const indexes = readIndexes()
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { exports: Exports }
  if (process.argv.includes('--write')) {
    manifest.exports = exportsOf(domainsOf(indexes))
    writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`)
  }
  // The build refuses what would break the package; how an index reads is for `npm run check`.
  const isBuild = process.argv.includes('--build')
  const problems = [...checkExports(manifest.exports, indexes), ...(isBuild ? [] : checkIndexes(indexes))]
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length > 0 ? 1 : 0
}
