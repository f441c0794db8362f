// What only a pipeline can fail with. What a step fails with keeps its own code; the message then begins with the step.
import { defineErrors } from '../../core/index.js'

/** `model` is the version, as in `search/1`; a step is named as in `step "rank" (rank/3)`. */
export const PipelineErrors = defineErrors('PIPELINE', {
  INVALID: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; problems: readonly string[] }) =>
      p.problems.length === 1
        ? `The pipeline ${p.model} does not fit its models: ${p.problems[0]}.`
        : `The pipeline ${p.model} does not fit its models, with ${p.problems.length} problems:\n${p.problems.map((problem) => `  - ${problem}`).join('\n')}`,
  },
  STEPS_UNREADY: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { model: string; steps: readonly string[]; waitsFor: readonly string[]; retryAfterMs: number }) =>
      `The pipeline ${p.model} waits for ${p.steps.join('; ')}. It goes on by itself once they are there.`,
  },
  INPUT_REFUSED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { model: string; step: string; input: string; reason: string }) =>
      `The input "${p.input}" of the pipeline ${p.model} does not suit its ${p.step}: ${p.reason}`,
  },
  STEP_INPUT_INVALID: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; step: string; source: string; reason: string }) =>
      `In the pipeline ${p.model}, "${p.source}" does not suit the ${p.step} that takes it: ${p.reason} Correct the models or the pipeline, and publish a new version.`,
  },
  ROWS_CHANGED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; step: string; output: string; rows: number; shape: readonly number[] }) =>
      `In the pipeline ${p.model}, ${p.step} was given ${p.rows} rows and its output "${p.output}" has the shape [${p.shape.join(',')}]. Each row that goes in must come out once.`,
  },
  OUTPUT_INVALID: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; step: string; output: string; problem: string }) =>
      `In the pipeline ${p.model}, the output "${p.output}" of ${p.step} is not as its signature says: ${p.problem}.`,
  },
  CLOSED: {
    status: 503,
    retry: true,
    level: 'info',
    message: (p: { model: string }) =>
      `${p.model} was unloaded. Send the request again to reach the version that replaced it.`,
  },
})
