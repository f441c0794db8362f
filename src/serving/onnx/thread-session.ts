// A session in another thread, used like one here.

import { copyData } from '../../tensor/index.js'
import type { Session } from './backend.js'
import type { OnnxThread } from './onnx-thread.js'
import type { RawTensor } from './session.js'
import { transferable } from './transfer.js'

/** From here on a copy would hold the event loop for more than a millisecond. */
const LARGE_BYTES = 1024 * 1024

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
    const isLarge = !isOwned && inputs.some(({ data }) => !Array.isArray(data) && data.byteLength > LARGE_BYTES)
    const own = isLarge ? await Promise.all(inputs.map(copyOf)) : inputs
    const sent = transferable(own, transfer, isOwned || isLarge)
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

/** Somebody else still reads the tensors of a batch of one: the log, for example. */
async function copyOf({ shape, data }: RawTensor): Promise<RawTensor> {
  return { shape, data: Array.isArray(data) ? data : await copyData(data) }
}
