// A version in a path: digits only, as Triton has it.
import type { FastifyRequest } from 'fastify'
import { HttpErrors } from '../errors.js'

/** Throws HTTP_BAD_PATH. */
export function parseVersion({
  url,
  params,
}: FastifyRequest & { readonly params: { readonly version: string } }): number {
  const { version } = params
  if (!/^[1-9]\d{0,14}$/.test(version)) throw HttpErrors.BAD_PATH({ path: url.slice(0, 200) })
  return Number(version)
}
