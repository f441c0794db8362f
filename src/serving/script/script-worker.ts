// A script's thread. It runs nothing else, and above all no ONNX Runtime, so it can be ended in the middle of a run.
import { parentPort } from 'node:worker_threads'
import { transferable } from '../onnx/transfer.js'
import { compileFile, evaluate } from './compile.js'
import { type Failure, fail, reasonOf, ScriptFailure } from './failure.js'
import type { Answer, Envelope, Reply, Request } from './messages.js'
import { OpenScript } from './open-script.js'

const port = parentPort!
let script: OpenScript | undefined

port.on('message', ({ id, request }: Envelope) => {
  handle(request).then(
    (answer) => {
      const transfer: ArrayBuffer[] = []
      if (answer.tensors) answer.tensors = transferable(answer.tensors, transfer, false)
      port.postMessage({ id, answer, failure: undefined } satisfies Reply, transfer)
    },
    (error: unknown) => port.postMessage({ id, answer: undefined, failure: failureOf(error) } satisfies Reply),
  )
})

async function handle(request: Request): Promise<Answer> {
  switch (request.kind) {
    case 'compile':
      return { code: await compileFile(request.file, request.digest) }
    case 'open':
      script = new OpenScript(await evaluate(request.code, request.file), request.file)
      return { opened: script.opened }
    case 'run':
      return { tensors: await script!.run(request.inputs, request.outputs) }
  }
}

function failureOf(error: unknown): Failure {
  return (error instanceof ScriptFailure ? error : fail('RUN_FAILED', { reason: reasonOf(error) })).failure
}
