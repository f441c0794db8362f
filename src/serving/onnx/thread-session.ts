// A session in another thread, used like one here.
import type { Session } from './backend.js'
import type { OnnxThread } from './onnx-thread.js'
import type { RawTensor } from './session.js'
import { transferable } from './transfer.js'

export class ThreadSession implements Session {
  constructor(
    private readonly thread: OnnxThread,
    private readonly session: number,
    private readonly releaseSession: () => Promise<void>,
  ) {}

  async run(inputs: readonly RawTensor[], wanted: readonly number[] | undefined): Promise<RawTensor[]> {
    const transfer: ArrayBuffer[] = []
    // Copied, because the caller's arrays are read again: by a fallback, a shadow, or the log.
    const copies = transferable(inputs, transfer, true)
    const { session } = this
    const { tensors } = await this.thread.request({ kind: 'run', session, inputs: copies, outputs: wanted }, transfer)
    return tensors!
  }

  release(): Promise<void> {
    return this.releaseSession()
  }
}
