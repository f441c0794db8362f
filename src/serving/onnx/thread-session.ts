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

  async run(
    inputs: readonly RawTensor[],
    outputs: readonly number[] | undefined,
    isOwned: boolean,
  ): Promise<RawTensor[]> {
    const transfer: ArrayBuffer[] = []
    const sent = transferable(inputs, transfer, isOwned)
    const { tensors } = await this.thread.request(
      { kind: 'run', session: this.session, inputs: sent, outputs },
      transfer,
    )
    return tensors!
  }

  release(): Promise<void> {
    return this.releaseSession()
  }
}
