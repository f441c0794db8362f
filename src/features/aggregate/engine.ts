// The windows of a view, computed: in streams, backfills, training sets and requests by this one engine.
import type { CompiledWindowView } from '../compiled.js'
import { KeyWindows } from './key-windows.js'
import { layoutOf } from './layout.js'
import type { WindowEngine } from './types.js'

/** The engine of a view; made once and kept. */
export function createWindowEngine(view: CompiledWindowView): WindowEngine {
  const layout = layoutOf(view)
  return {
    create: () => new KeyWindows(layout),
    parse: (bytes) => KeyWindows.parse(layout, bytes),
    merge: (batch, stream, seamMs) => (batch as KeyWindows).mergedWith(stream as KeyWindows, seamMs),
  }
}
