// Answers as protocol buffers' JSON: whole numbers of 64 bits as numbers, however long; what is undefined is left out.
import type { FastifyReply } from 'fastify'
import { sendJson } from '../reply.js'

export function sendAnswer(reply: FastifyReply, answer: object): undefined {
  reply.hijack()
  sendJson(reply.raw, 200, jsonText(answer))
}

export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    // JSON.stringify takes no bigint, which are rare: only timestamps and steps beyond 53 bits.
    return slowText(value)
  }
}

function slowText(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return `[${value.map(slowText).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).filter(([, one]) => one !== undefined)
  return `{${members.map(([key, one]) => `${JSON.stringify(key)}:${slowText(one)}`).join(',')}}`
}

/** JSON has no word for these. */
export function numberValue(value: number): number | string {
  return Number.isFinite(value) ? value : String(value)
}

/** An empty list is absent, as protocol buffers have it. */
export function listed<T>(items: readonly T[]): readonly T[] | undefined {
  return items.length === 0 ? undefined : items
}
