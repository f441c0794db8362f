// Whether a version's files are all there, as far as they themselves can tell.
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { foreignFormat } from './foreign-format.js'
import { readOnnxOutline } from './onnx-file.js'

/** The files that hold the model's large tensors, or a text that says what is missing or wrong. */
export async function completenessOf(model: string): Promise<{ readonly external: readonly string[] } | string> {
  const foreign = await foreignFormat(model)
  if (foreign) return `model.onnx is ${foreign.found}. ${foreign.remedy}`
  const outline = await readOnnxOutline(model)
  if (outline.kind === 'broken') return `model.onnx is not a whole ONNX file: ${outline.reason}`
  const external: string[] = []
  for (const { location, leastBytes } of outline.externalFiles) {
    const file = join(dirname(model), location)
    const sizeBytes = await stat(file).then(
      ({ size }) => size,
      () => undefined,
    )
    if (sizeBytes === undefined) return `model.onnx keeps tensors in "${location}", which is not there`
    if (sizeBytes < leastBytes) return `"${location}" has ${sizeBytes} bytes, and model.onnx needs ${leastBytes} of it`
    external.push(file)
  }
  return { external }
}
