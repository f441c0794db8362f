// Engines by definition: one is compiled when it is first asked for.
import type { CompiledWindowView } from '../compiled.js'
import { createWindowEngine } from './engine.js'
import type { WindowEngine } from './types.js'

export function enginesOnce(): (view: CompiledWindowView) => WindowEngine {
  const engines = new WeakMap<CompiledWindowView, WindowEngine>()
  return (view) => {
    let engine = engines.get(view)
    if (engine === undefined) {
      engine = createWindowEngine(view)
      engines.set(view, engine)
    }
    return engine
  }
}
