// Sends back what it gets, in one of three ways.
import { Socket } from 'node:net'
import { isMainThread, parentPort } from 'node:worker_threads'

if (!isMainThread) parentPort.on('message', ({ data }) => parentPort.postMessage({ data }, [data.buffer]))
else if (process.argv[2] === 'ipc') process.on('message', ({ data }) => process.send({ data }))
else {
  const { FrameReader, writeFrame } = await import('../../dist/serving/process/frames.js')
  const buffer = Buffer.allocUnsafeSlow(256 * 1024)
  const callback = (bytes) => {
    reader.push(buffer.subarray(0, bytes))
    return true
  }
  const pipe = new Socket({ fd: 3, readable: true, writable: true, onread: { buffer, callback } })
  const reader = new FrameReader(({ id, head, tensors }) => writeFrame(pipe, 6, id, head, tensors))
}
