// BYTES elements are Buffers to us and text to ONNX Runtime. What is not text is refused: the binding would replace bytes that
// are not UTF-8 and cut a string at its first NUL, without a word.
import { isUtf8 } from 'node:buffer'
import { fail } from './failure.js'

/** Throws BYTES_NOT_TEXT. */
export function stringsOf(input: string, elements: readonly Buffer[]): string[] {
  return elements.map((element, i) => {
    if (!isUtf8(element)) throw fail('BYTES_NOT_TEXT', { input, element: i, reason: 'is not valid UTF-8' })
    if (element.includes(0)) throw fail('BYTES_NOT_TEXT', { input, element: i, reason: 'contains a NUL' })
    return element.toString('utf8')
  })
}

export function buffersOf(strings: readonly string[]): Buffer[] {
  return strings.map((text) => Buffer.from(text, 'utf8'))
}
