// The version that a message names: a number, or nothing.
import { HttpErrors } from '../errors.js'

/** Undefined for none. Throws HTTP_PARAMETER_INVALID. */
export function versionNumber(text: string): number | undefined {
  if (text === '') return undefined
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw HttpErrors.PARAMETER_INVALID({
    in: 'field',
    where: 'the version',
    expected: 'a positive whole number or empty',
    arrived: JSON.stringify(text.slice(0, 40)),
  })
}
