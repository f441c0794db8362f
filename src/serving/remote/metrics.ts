// What requests to other servers cost, by version.
import { type Counter, type Histogram, LATENCY_BUCKETS, type Metrics, type VersionRef } from '../../core/index.js'

export interface RemoteMetrics {
  readonly retries: Counter
  readonly seconds: Histogram
  /** Requests that ended this way: `ok` or an error code. */
  ended(status: string): Counter
  forget(): void
}

const LABELS = ['model', 'version'] as const

export function createRemoteMetrics(metrics: Metrics): (ref: VersionRef) => RemoteMetrics {
  const requests = metrics.counter({
    name: 'ml_remote_requests_total',
    help: 'Requests to the server of a remote version, retries included, by how they ended: ok or an error code.',
    labels: [...LABELS, 'status'],
  })
  const retries = metrics.counter({
    name: 'ml_remote_retries_total',
    help: 'Requests to the server of a remote version that were second or third tries.',
    labels: LABELS,
  })
  const seconds = metrics.histogram({
    name: 'ml_remote_request_seconds',
    help: 'From sending a request to the server of a remote version to its whole answer.',
    labels: LABELS,
    buckets: LATENCY_BUCKETS,
  })
  return ({ model, version }) => {
    const number = String(version)
    const bound = new Map<string, Counter>()
    return {
      retries: retries.with(model, number),
      seconds: seconds.with(model, number),
      ended(status) {
        let counter = bound.get(status)
        if (counter === undefined) {
          counter = requests.with(model, number, status)
          bound.set(status, counter)
        }
        return counter
      },
      forget() {
        for (const status of bound.keys()) requests.remove(model, number, status)
        retries.remove(model, number)
        seconds.remove(model, number)
      },
    }
  }
}
