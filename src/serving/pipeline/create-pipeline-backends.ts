// Loads pipelines, which call versions of the pool that they are themselves in.
import { type Platform, versionKey } from '../../core/index.js'
import type { VersionArtifact } from '../../tensor/index.js'
import type { Backend } from '../types.js'
import { PipelineBackend } from './backend.js'
import { PipelineErrors } from './errors.js'
import { planPipeline, stepTitle } from './plan.js'
import { type StepPool, StepVersions } from './step-versions.js'

export interface PipelineBackends {
  /** A BackendFactory. Rejects with PIPELINE_INVALID and PIPELINE_STEPS_UNREADY. */
  load(artifact: VersionArtifact): Promise<Backend>
  /** Says which pool has the steps; before anything is loaded. */
  follow(pool: StepPool): void
}

/** Cancelled calls of so many milliseconds are dropped in one go, because the pool looks through all its queues. */
const GATHER_MS = 2

export function createPipelineBackends({ clock }: Platform): PipelineBackends {
  let pool: StepPool
  let isDropDue = false

  function onCallsCancelled(): void {
    if (isDropDue) return
    isDropDue = true
    clock.after(GATHER_MS, () => {
      isDropDue = false
      pool.dropCancelled()
    })
  }

  return {
    follow(given) {
      pool = given
    },
    async load({ ref, pipeline }) {
      const model = versionKey(ref)
      const own = pipeline!.steps.find((step) => versionKey(step) === model)
      if (own !== undefined)
        throw PipelineErrors.INVALID({ model, problems: [`${stepTitle(own.name, own)} is the pipeline itself`] })
      const versions = new StepVersions(model, pipeline!, pool, clock)
      const served = await versions.ready()
      const planned = planPipeline(
        pipeline!,
        served.map(({ signature }) => signature),
      )
      if ('problems' in planned) throw PipelineErrors.INVALID({ model, problems: planned.problems })
      return new PipelineBackend({ model, plan: planned.plan, versions, onCallsCancelled })
    },
  }
}
