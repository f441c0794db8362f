// Several answers as one: floats are averaged, everything else is voted on, element by element.
import { allocate, shapeText, type Tensor, type TensorData, type TensorMap } from '../tensor/index.js'
import { RouteErrors } from './errors.js'
import { floatAt, floatsOf, isFloat } from './numbers.js'

/**
 * The answers combined, with weights that need not sum to 1; all zero counts as all equal. Floats are averaged; integers, truth
 * values and bytes get the value with the largest weight behind it, the first arm's on a tie. Throws ROUTE_COMBINE_MISMATCH when
 * the answers differ in outputs, datatypes or shapes.
 */
export function combine(
  node: string,
  isVote: boolean,
  answers: readonly TensorMap[],
  weights: readonly number[],
): TensorMap {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const shares = weights.map((weight) => (total > 0 ? weight / total : 1 / weights.length))
  const combined = new Map<string, Tensor>()
  const [first, ...others] = answers
  for (const [name, tensor] of first!) {
    const tensors = [tensor]
    for (const other of others) tensors.push(matching(node, tensor, other.get(name)))
    const isAveraged = isFloat(tensor.datatype) && !isVote
    combined.set(name, { ...tensor, data: isAveraged ? average(tensors, shares) : vote(tensors, shares) })
  }
  for (const other of others)
    for (const name of other.keys())
      if (!first!.has(name))
        throw RouteErrors.COMBINE_MISMATCH({ node, output: name, problem: 'the first arm does not have it' })
  return combined
}

function matching(node: string, first: Tensor, other: Tensor | undefined): Tensor {
  const fail = (problem: string) => RouteErrors.COMBINE_MISMATCH({ node, output: first.name, problem })
  if (other === undefined) throw fail('an arm does not have it')
  if (other.datatype !== first.datatype) throw fail(`its datatypes are ${first.datatype} and ${other.datatype}`)
  const isSame =
    other.shape.length === first.shape.length && other.shape.every((size, axis) => size === first.shape[axis])
  if (!isSame) throw fail(`its shapes are ${shapeText(first.shape)} and ${shapeText(other.shape)}`)
  return other
}

function average(tensors: readonly Tensor[], shares: readonly number[]): TensorData {
  const { datatype, data } = tensors[0]!
  const sums = new Float64Array(data.length)
  for (let arm = 0; arm < tensors.length; arm++) {
    // A share of 0 leaves an arm out, even when it answered NaN.
    if (shares[arm] === 0) continue
    for (let i = 0; i < sums.length; i++) sums[i]! += shares[arm]! * floatAt(tensors[arm]!, i)
  }
  return floatsOf(datatype, sums)
}

function vote(tensors: readonly Tensor[], shares: readonly number[]): TensorData {
  const { datatype, data } = tensors[0]!
  const winners = allocate(datatype, data.length)
  for (let i = 0; i < data.length; i++) winners[i] = tensors[winnerAt(tensors, shares, i)]!.data[i]!
  return winners
}

/** The first arm whose value has the most weight behind it. */
function winnerAt(tensors: readonly Tensor[], shares: readonly number[], index: number): number {
  let winner = 0
  let most = -1
  for (let arm = 0; arm < tensors.length; arm++) {
    let weight = 0
    for (let other = 0; other < tensors.length; other++)
      if (isEqual(tensors[arm]!.data[index]!, tensors[other]!.data[index]!)) weight += shares[other]!
    // Sums of the same shares in another order differ in the last digits: that is a tie.
    if (weight > most + 1e-9) {
      most = weight
      winner = arm
    }
  }
  return winner
}

function isEqual(a: TensorData[number], b: TensorData[number]): boolean {
  return Buffer.isBuffer(a) ? a.equals(b as Buffer) : a === b
}
