import type { Prediction } from './prediction.js'

export type StageName = 'admit' | 'features' | 'route' | 'shape' | 'record'

/** A stage mutates the prediction in flight. It returns a promise only when it has to wait, and throws HeadraceErrors. */
export interface Stage {
  readonly name: StageName
  run(prediction: Prediction): void | Promise<void>
}
