// Names of models as the configuration writes them: `*` stands for any text.

/** Whether a name is one of those that the patterns mean. */
export function matching(patterns: readonly string[]): (name: string) => boolean {
  const expressions = patterns.map((pattern) => new RegExp(`^${pattern.split('*').map(literally).join('.*')}$`))
  return (name) => expressions.some((expression) => expression.test(name))
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
