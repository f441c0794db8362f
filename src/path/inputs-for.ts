// Versions of one tree need not have the same signature: a simpler model may take fewer inputs. What a version does not take is
// left out; what it lacks or takes differently is its misfit, not the caller's mistake.
import { type HeadraceError, toHeadraceError } from '../core/index.js'
import { stackInputs, type VersionLeaf } from '../route/index.js'
import type { ServedVersion } from '../serving/index.js'
import { type Signature, type Tensor, type TensorMap, validateInputs } from '../tensor/index.js'
import { PathErrors } from './errors.js'

/** Whether the one takes exactly what the other does; by object, since a version's signature never changes. */
const sameInputs = new WeakMap<ServedVersion, WeakMap<ServedVersion, boolean>>()

/** The tensors of a request that was checked against `reference`, for `served`. Throws PATH_VERSION_UNFIT. */
export function inputsFor(served: ServedVersion, reference: ServedVersion | undefined, tensors: TensorMap): TensorMap {
  if (served === reference || (reference !== undefined && takeTheSame(served, reference))) return tensors
  const taken = new Map<string, Tensor>()
  for (const { name } of served.signature.inputs) {
    const tensor = tensors.get(name)
    if (tensor) taken.set(name, tensor)
  }
  return checked(served, taken)
}

/** The arms' answers as inputs of a meta-model. Throws ROUTE_COMBINE_MISMATCH and PATH_VERSION_UNFIT. */
export function metaInputs(leaf: VersionLeaf, served: ServedVersion, answers: readonly TensorMap[]): TensorMap {
  return checked(served, stackInputs(leaf.model, answers, served.signature))
}

function checked(served: ServedVersion, tensors: TensorMap): TensorMap {
  try {
    validateInputs(tensors, served.signature)
    return tensors
  } catch (error) {
    throw unfit(served, toHeadraceError(error))
  }
}

function unfit({ ref }: ServedVersion, error: HeadraceError): HeadraceError {
  return PathErrors.VERSION_UNFIT({ model: ref.model, version: ref.version, problem: error.message }, error)
}

function takeTheSame(served: ServedVersion, reference: ServedVersion): boolean {
  let known = sameInputs.get(served)
  if (!known) {
    known = new WeakMap()
    sameInputs.set(served, known)
  }
  let same = known.get(reference)
  if (same === undefined) {
    same = areSame(served.signature, reference.signature)
    known.set(reference, same)
  }
  return same
}

function areSame(a: Signature, b: Signature): boolean {
  const text = ({ inputs, batchAxis }: Signature) =>
    JSON.stringify([batchAxis, ...inputs.map(({ name, datatype, shape }) => [name, datatype, ...shape]).sort()])
  return text(a) === text(b)
}
