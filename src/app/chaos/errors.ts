import { defineErrors } from '../../core/index.js'

export const ChaosErrors = defineErrors('CHAOS', {
  DISABLED: {
    status: 403,
    retry: false,
    level: 'info',
    message: () =>
      'This server takes no faults. Start it with "headrace serve --chaos", or with chaos: { enabled: true } in the configuration, where breaking it is wanted.',
  },
  NOT_LOOPBACK: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { host: string }) =>
      `Chaos mode is for loopback only, and the server would listen on ${p.host}. Leave out --chaos, or listen on 127.0.0.1.`,
  },
  DURATION: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { durationMs: number; maxDurationMs: number }) =>
      `A fault lasts from 1 to ${p.maxDurationMs} ms here, and ${p.durationMs} arrived. Choose a shorter one, or raise chaos.maxDurationMs.`,
  },
  NOT_POSSIBLE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { fault: string; reason: string }) => `The fault "${p.fault}" cannot be injected here: ${p.reason}.`,
  },
  FAULT_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { id: string; active: readonly string[] }) =>
      `No fault "${p.id}" is active; it may have healed by itself. ${p.active.length === 0 ? 'None is.' : `Active: ${p.active.join(', ')}.`}`,
  },
  CHANGE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) => `The change is no fault that chaos mode knows: ${p.problem}.`,
  },
})
