// The tables of the reference that are made from the code, and the markers they stand between.

export interface SettingRow {
  readonly path: string
  readonly variable: string
  readonly type: string
  readonly default: unknown
  readonly description: string
}

export interface ErrorRow {
  readonly code: string
  readonly status: number
  readonly retry: boolean
  readonly level: string
}

const startOf = (name: string): string => `<!-- generated: ${name} (npm run generate:docs) -->`
const END = '<!-- end of generated -->'

/** What stands between the markers of `name`; undefined where they are missing. */
export function readSection(markdown: string, name: string): string | undefined {
  const start = markdown.indexOf(startOf(name))
  const end = markdown.indexOf(END, start)
  return start < 0 || end < 0 ? undefined : markdown.slice(start + startOf(name).length, end).trim()
}

/** The page with `body` between the markers; a page without them gets them at its end. */
export function writeSection(markdown: string, name: string, body: string): string {
  const section = `${startOf(name)}\n\n${body}\n\n${END}`
  const start = markdown.indexOf(startOf(name))
  const end = markdown.indexOf(END, start)
  if (start < 0 || end < 0) return `${markdown.trimEnd()}\n\n${section}\n`
  return markdown.slice(0, start) + section + markdown.slice(end + END.length)
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const code = (text: string): string => (text === '' ? '' : `\`${cell(text)}\``)

/** One table for each section of the configuration. */
export function settingsTables(settings: readonly SettingRow[]): string {
  const lines: string[] = []
  let section: string | undefined
  for (const setting of settings) {
    const next = setting.path.includes('.') ? setting.path.slice(0, setting.path.indexOf('.')) : 'project'
    if (next !== section) {
      if (section !== undefined) lines.push('')
      section = next
      lines.push(
        `### ${section}`,
        '',
        '| Key | Variable | Type | Default | What it does |',
        '| --- | --- | --- | --- | --- |',
      )
    }
    const value = setting.default === undefined ? '' : JSON.stringify(setting.default)
    const { path, variable, type, description } = setting
    lines.push(`| ${code(path)} | ${code(variable)} | ${code(type)} | ${code(value)} | ${cell(description)} |`)
  }
  return lines.join('\n')
}

/** One row for each code; the sentence in the last column is written by people and kept from `existing`. */
export function errorsTable(errors: readonly ErrorRow[], existing: string): string {
  const sentences = sentencesOf(existing)
  const rows = [...errors].sort((a, b) => (a.code < b.code ? -1 : 1))
  return [
    '| Code | Status | Retry | Level | What happened and what to do |',
    '| --- | ---: | --- | --- | --- |',
    ...rows.map(({ code: name, status, retry, level }) => {
      return `| ${code(name)} | ${status} | ${retry ? 'yes' : 'no'} | ${level} | ${sentences.get(name) ?? ''} |`
    }),
  ].join('\n')
}

/** Whether two sections are the same but for the widths of their columns, which the formatter of the repository chooses. */
export function sameTable(a: string, b: string): boolean {
  const plain = (text: string): string => text.replace(/ *\| */g, '|').replace(/-{2,}/g, '--')
  return plain(a) === plain(b)
}

/** The sentence of each code of a table made by `errorsTable`. */
export function sentencesOf(table: string): Map<string, string> {
  const sentences = new Map<string, string>()
  for (const line of table.split('\n')) {
    const row = /^\| *`([A-Z0-9_]+)` *\|[^|]*\|[^|]*\|[^|]*\| *(.*?) *\|$/.exec(line)
    if (row !== null) sentences.set(row[1]!, row[2]!)
  }
  return sentences
}
