import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { tempFolder } from '../../test/support/temp-folder.js'

it('generated/ is what onnx.proto gives (npm run generate:onnx)', async () => {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const bin = join(root, 'node_modules/.bin')
  const proto = 'src/formats/proto'
  const folder = tempFolder()
  await promisify(execFile)(
    join(bin, 'buf'),
    ['generate', proto, '--template', `${proto}/buf.gen.yaml`, '-o', folder],
    {
      cwd: root,
      env: { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH']}` },
    },
  )
  const file = 'src/formats/generated/onnx_pb.ts'
  expect(readFileSync(join(root, file), 'utf8')).toBe(readFileSync(join(folder, file), 'utf8'))
})
