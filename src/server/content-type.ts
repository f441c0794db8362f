// Which content types are read as JSON: application/json and what ends in +json (OIP clients and proxies send several).

export function isJsonType(contentType: string): boolean {
  return contentType === 'application/json' || /^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)
}
