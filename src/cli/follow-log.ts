// Follows a server's log. Not with fetch: it gives a stream up that was quiet for five minutes, and a log may well be.
import { get, type IncomingMessage } from 'node:http'
import { get as getSecurely } from 'node:https'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { serverError, unreachable } from './answers.js'
import type { Api } from './context.js'

/** Writes records as they come, a line each, until the server ends or `limit` have come. */
export async function followLog(
  api: Pick<Api, 'url' | 'headers'>,
  { from, limit }: { readonly from?: number | undefined; readonly limit?: number | undefined },
  to: Writable,
): Promise<void> {
  const query = new URLSearchParams({
    from: from === undefined ? 'now' : String(from),
    ...(limit === undefined ? {} : { limit: String(limit) }),
  })
  const response = await open(api, `/api/v1/log/tail?${query}`)
  if (response.statusCode !== 200) {
    let text = ''
    for await (const chunk of response) text += String(chunk)
    throw serverError(response.statusCode ?? 0, text)
  }
  await pipeline(response, to, { end: false })
}

function open({ url, headers }: Pick<Api, 'url' | 'headers'>, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const ask = url.startsWith('https:') ? getSecurely : get
    ask(url + path, { headers }, resolve).once('error', (error) => reject(unreachable(url, error)))
  })
}
