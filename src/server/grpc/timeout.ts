// The deadline of a call as clients send it: at most eight digits and a unit.
import { GrpcErrors } from './errors.js'

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 }

/** Milliseconds; undefined without the header. Throws GRPC_MESSAGE_INVALID. */
export function timeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const match = /^(\d{1,8})([HMSmun])$/.exec(header)
  if (!match) throw GrpcErrors.MESSAGE_INVALID({ problem: `grpc-timeout is "${header.slice(0, 40)}"` })
  return Number(match[1]) * UNIT_MS[match[2]!]!
}
