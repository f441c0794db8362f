import { defineErrors } from '../core/index.js'

export const FeatureErrors = defineErrors('FEATURE', {
  DURATION: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { where: string; arrived: string }) =>
      `${p.where}: "${p.arrived}" is no length of time. Write a number and a unit, such as "10m", "1h" or "30d", or milliseconds.`,
  },
})
