// Which library wrote a file, told from its content, and its trees.
import { checkEnsemble, type TreeEnsemble } from './ensemble.js'
import { unreadable } from './failure.js'
import { readLightgbm } from './lightgbm.js'
import { readXgboost } from './xgboost.js'

/** Throws a FormatFailure: UNREADABLE, UNSUPPORTED, TOO_LARGE. */
export function readTrees(bytes: Uint8Array): TreeEnsemble {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 8)).toString('latin1')
  if (start.startsWith('tree\n') || start.startsWith('tree\r\n')) return checkEnsemble(readLightgbm(bytes))
  if (start.trimStart().startsWith('{')) return checkEnsemble(readXgboost(bytes))
  throw unreadable('it is neither XGBoost’s JSON or UBJSON nor LightGBM’s text')
}
