// Why a release was not started, or not moved on.
import { defineErrors } from '../core/index.js'

export const ReleaseErrors = defineErrors('RELEASE', {
  PLAN_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { plan: string; problem: string }) =>
      `The plan "${p.plan}" cannot be followed: ${p.problem}. Write steps as "shadow:1h,canary:5%/30m,25%/2000u,100%", or name a plan ("headrace release plans").`,
  },
  NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { id: string }) =>
      `No release has the id or endpoint "${p.id}". Run "headrace release list" to see them.`,
  },
  CHANGE_INVALID: {
    status: 400,
    retry: false,
    level: 'warn',
    message: (p: { kind: string; problem: string }) =>
      `The change ${p.kind} of a release cannot be made: ${p.problem}.`,
  },
  REQUEST_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { endpoint: string; problem: string }) => `No release of "${p.endpoint}" can start: ${p.problem}.`,
  },
  ALREADY_ACTIVE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { endpoint: string; id: string; to: number }) =>
      `Endpoint "${p.endpoint}" has a release under way already, to version ${p.to} (${p.id}). Promote or abort it first.`,
  },
  ALREADY_LIVE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { endpoint: string; model: string; version: number }) =>
      `Endpoint "${p.endpoint}" serves ${p.model}/${p.version} already. To release it step by step, say from which version ("--from"), or point the endpoint back first.`,
  },
  NOT_SERVABLE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number; reason: string }) =>
      `${p.model}/${p.version} cannot take traffic: ${p.reason}`,
  },
  NOT_ACTIVE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { id: string; state: string; act: string }) => {
      const isActive = p.state === 'running' || p.state === 'paused'
      return `Release ${p.id} is ${p.state}, so it cannot be ${p.act}.${isActive ? '' : ' "headrace release start" begins another.'}`
    },
  },
  COMPLETED: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { id: string; to: number; from: number; decision: string | undefined }) =>
      `Release ${p.id} is completed: version ${p.to} serves, and nothing was changed. "headrace decisions undo ${p.decision ?? '<decision of the completion>'}" puts version ${p.from} back.`,
  },
  CHANGED_MEANWHILE: {
    status: 409,
    retry: true,
    level: 'info',
    message: (p: { id: string; expected: number; actual: number }) =>
      `Release ${p.id} was changed by somebody else meanwhile (revision ${p.actual}, not ${p.expected}). Look at it again, and repeat what still makes sense.`,
  },
  TARGET_MOVED: {
    status: 409,
    retry: false,
    level: 'warn',
    message: (p: { endpoint: string; what: string; expected: string; actual: string }) =>
      `What release and endpoint "${p.endpoint}" stand on was moved meanwhile: ${p.what} means ${p.actual}, not ${p.expected}. Nothing was changed.`,
  },
})
