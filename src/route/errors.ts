import { defineErrors } from '../core/index.js'

export const RouteErrors = defineErrors('ROUTE', {
  INVALID: {
    status: 400,
    retry: false,
    level: 'warn',
    message: (p: { where: string; problem: string }) => `The route is not usable at ${p.where}: ${p.problem}.`,
  },
})
