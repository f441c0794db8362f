// What content types say: which are read as JSON (application/json and what ends in +json: OIP clients and proxies send several),
// and which may be anything, as libraries name bodies of bytes when nobody told them better.

export function isJsonType(contentType: string): boolean {
  return contentType === 'application/json' || /^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)
}

export function isBinaryType(contentType: string): boolean {
  return contentType === 'application/octet-stream' || /^application\/octet-stream\s*(?:;|$)/i.test(contentType)
}
