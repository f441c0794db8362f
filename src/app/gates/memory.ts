// Memory: what the loaded version takes, against the endpoint's limit.
import type { Gate } from './gate.js'
import { memoryOf } from './measure.js'

/** The pool measures in the background after a first load. */
const WAIT_MS = 20_000

export const memory: Gate = {
  name: 'memory',
  isNeeded: false,
  async check({ app, served, settings, endpoint, signal }) {
    const limitMb = settings?.slo.memoryMb
    if (limitMb === undefined)
      return [
        { verdict: 'skipped', summary: `No limit of memory is configured (endpoints.${endpoint}.gates.slo.memoryMb).` },
      ]
    const { sizeBytes, isMeasured } = await memoryOf(app, served!, WAIT_MS, signal)
    const mb = sizeBytes / 2 ** 20
    const text = `It takes ${isMeasured ? '' : 'about '}${mb.toFixed(1)} MiB${isMeasured ? '' : ' (an estimate: it could not be measured yet)'}`
    const evidence = { sizeBytes, isMeasured, limitMb }
    if (mb > limitMb) return [{ verdict: 'failed', summary: `${text} and may take ${limitMb} MiB.`, evidence }]
    return [{ verdict: 'passed', summary: `${text} of ${limitMb} MiB.`, evidence }]
  },
}
