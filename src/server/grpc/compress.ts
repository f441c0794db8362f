// The message of a reply, compressed off the event loop.
import { COMPRESS_FROM_BYTES, compress } from '../compression.js'
import { PREFIX_BYTES } from './frames.js'

/** The frame with its message compressed; as it is when that does not pay. */
export async function compressFrame(frame: Buffer): Promise<Buffer> {
  if (frame.length < COMPRESS_FROM_BYTES) return frame
  const packed = await compress([frame.subarray(PREFIX_BYTES)], 'gzip')
  const head = Buffer.allocUnsafe(PREFIX_BYTES)
  head[0] = 1
  head.writeUInt32BE(
    packed.reduce((sizeBytes, part) => sizeBytes + part.length, 0),
    1,
  )
  const smaller = Buffer.concat([head, ...packed])
  return smaller.length < frame.length ? smaller : frame
}
