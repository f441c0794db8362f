// The rival: the least a grpc-js server can do with the same messages. It decodes the request and encodes a reply of the size that
// Headrace's has, with the generated code, and does nothing else.
import process from 'node:process'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { inferenceService } from '../../dist/oip/index.js'

const OUTPUT = Buffer.alloc(8)

const server = new Server()
server.addService(
  { ModelInfer: inferenceService.ModelInfer },
  {
    ModelInfer: ({ request }, callback) =>
      callback(null, {
        modelName: request.modelName,
        modelVersion: '1',
        id: request.id,
        parameters: new Map(),
        outputs: [{ name: 'y', datatype: 'FP32', shape: [1n, 2n], parameters: new Map(), contents: undefined }],
        rawOutputContents: [OUTPUT],
      }),
  },
)
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error
  process.send({ url: 'grpc', grpc: `127.0.0.1:${port}` })
})
process.once('SIGTERM', () => process.exit(0))
