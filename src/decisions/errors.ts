// Why a decision was not made, or cannot be taken back.
import { defineErrors } from '../core/index.js'

export const DecisionErrors = defineErrors('DECISION', {
  INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { field: string; reason: string }) => `The decision's ${p.field} cannot be recorded: ${p.reason}.`,
  },
  KIND_UNKNOWN: {
    status: 400,
    retry: false,
    level: 'warn',
    message: (p: { kind: string; known: string }) =>
      `No kind of change is named "${p.kind}". This server knows ${p.known || 'none'}.`,
  },
  NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { id: string }) => `No decision has the id "${p.id}". Run "headrace decisions list" to see them.`,
  },
  ALREADY_UNDONE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { number: number; by: number; id: string }) =>
      `Decision ${p.number} was already undone by decision ${p.by}. To do it again, undo that one (${p.id}).`,
  },
  NOT_UNDOABLE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { number: number; kind: string }) =>
      `Decision ${p.number} is a ${p.kind}, which cannot be taken back.`,
  },
  NOT_LEADER: {
    status: 409,
    retry: false,
    level: 'warn',
    message: (p: { name: string; term: number; now: number }) =>
      `This server led ${p.name} in term ${p.term}; now it is term ${p.now}, and another leads. Nothing was changed.`,
  },
  NOT_MADE: {
    status: 503,
    retry: true,
    level: 'warn',
    message: () =>
      'The connection to the metadata store broke before the change was made. Nothing was changed. Try again.',
  },
  SUPERSEDED: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { number: number; subject: string; by: number; id: string }) =>
      `Decision ${p.number} is no longer what "${p.subject}" follows: decision ${p.by} changed it since. Undo that one first (${p.id}), or make a new decision.`,
  },
})
