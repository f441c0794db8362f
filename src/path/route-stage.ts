// Route: walks the endpoint's tree and calls its leaves. A one-leaf tree is a direct call without an interpreter.
import { type Clock, type HeadraceError, type Random, toHeadraceError } from '../core/index.js'
import type { CallRole, Step, VersionLeaf } from '../route/index.js'
import type { ServedVersion } from '../serving/index.js'
import type { Versions } from './endpoint.js'
import type { Prediction } from './prediction.js'
import type { Stage } from './stage.js'

export interface RouteStageOptions {
  readonly clock: Clock
  readonly random: Random
  readonly versions: Versions
}

export function routeStage({ clock, random, versions }: RouteStageOptions): Stage {
  /** Calls one version and records how it went; the answer is kept only when nothing answered before. */
  async function call(prediction: Prediction, served: ServedVersion, role: CallRole): Promise<void> {
    const startedMs = clock.monotonicMs()
    let status = 'ok'
    let queueMs = 0
    let batchRows = 0
    try {
      const result = await served.leaf.call(prediction, prediction.deadline!)
      queueMs = result.queueMs
      batchRows = result.batchRows
      if (prediction.answer === undefined) {
        prediction.served = served
        prediction.answer = result.outputs
        prediction.queueMs = result.queueMs
        prediction.computeMs = result.computeMs
      }
    } catch (error) {
      const failure = toHeadraceError(error)
      status = failure.code
      throw failure
    } finally {
      const { model, version } = served.ref
      const latencyMs = clock.monotonicMs() - startedMs
      prediction.record({ leaf: served.key, model, version, role, status, latencyMs, queueMs, batchRows })
    }
  }

  /** Carries out the interpreter's steps. */
  async function drive(prediction: Prediction): Promise<void> {
    const { endpoint } = prediction
    const run = endpoint.route.run()
    let step: Step = run.start({ endpoint: endpoint.name, unit: prediction.unit, draw: random.next() })
    prediction.choices = run.choices
    const calls = new Map<number, Promise<{ call: number; error: HeadraceError | undefined }>>()
    const begin = async (number: number, leaf: VersionLeaf, role: CallRole) => {
      try {
        await call(prediction, versions.resolve(leaf), role)
        return { call: number, error: undefined }
      } catch (error) {
        return { call: number, error: toHeadraceError(error) }
      }
    }
    for (;;) {
      switch (step.kind) {
        case 'call':
          calls.set(step.call, begin(step.call, step.leaf as VersionLeaf, step.role))
          step = run.resume({ kind: 'next', nowMs: 0 })
          break
        case 'wait': {
          const ended = await Promise.race(calls.values())
          calls.delete(ended.call)
          step = run.resume(
            ended.error
              ? { kind: 'failure', call: ended.call, error: ended.error, nowMs: 0 }
              : { kind: 'result', call: ended.call, answer: prediction.answer!, nowMs: 0 },
          )
          break
        }
        case 'fail':
          throw step.error
        case 'cancel':
        case 'reply':
        case 'detach':
          return
      }
    }
  }

  return {
    name: 'route',
    run(prediction) {
      if (prediction.pinned) return call(prediction, prediction.pinned, 'primary')
      const { direct } = prediction.endpoint.route
      return direct ? call(prediction, versions.resolve(direct), 'primary') : drive(prediction)
    },
  }
}
