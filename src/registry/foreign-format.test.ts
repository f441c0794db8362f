import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { linearModel } from '../../test/support/onnx-models.js'
import { foreignFormat } from './foreign-format.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-foreign-'))
afterAll(() => rmSync(folder, { recursive: true }))

async function found(name: string, content: string | Uint8Array): Promise<string | undefined> {
  const file = join(folder, name)
  writeFileSync(file, content)
  return (await foreignFormat(file))?.found
}

/** The first bytes of a ZIP archive whose first entry has this name. */
function zip(entry: string): Buffer {
  const header = Buffer.alloc(30)
  header.write('PK\x03\x04', 'latin1')
  header.writeUInt16LE(entry.length, 26)
  return Buffer.concat([header, Buffer.from(entry), Buffer.alloc(50)])
}

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')

describe('foreignFormat', () => {
  // The hexadecimal beginnings were written by scikit-learn 1.9, joblib 1.6, xgboost 3.2 and lightgbm 4.7 (2026-11-22).
  it.each<[string, string | Buffer, string]>([
    ['model.pkl', bytes('800495cd020000000000008c1e736b6c6561726e2e6c696e656172'), 'a Python pickle'],
    ['model.onnx', bytes('80049503020000000000008c1e736b6c6561726e2e6c696e656172'), 'a Python pickle'],
    ['compressed.joblib', bytes('785e7d93cf6b143114c7f747b7b32e6d'), 'a joblib file (a Python pickle)'],
    ['x.json', bytes('7b226c6561726e6572223a7b2261747472696275746573223a7b'), 'an XGBoost model in its own format'],
    ['x.ubj', bytes('7b4c00000000000000076c6561726e65727b4c00000000'), 'an XGBoost model in its own format'],
    ['l.txt', bytes('747265650a76657273696f6e3d76340a6e756d5f636c6173'), 'a LightGBM model in its text format'],
    ['c.cbm', 'CBM1\x00\x00', 'a CatBoost model'],
    ['t.pt', zip('archive/data.pkl'), 'a PyTorch file (TorchScript or saved weights)'],
    ['scripted.onnx', zip('scripted/data/0'), 'a PyTorch file (TorchScript or saved weights)'],
    ['traced.onnx', zip('traced/code/__torch__.py'), 'a PyTorch file (TorchScript or saved weights)'],
    ['old.pt', bytes('80028a0a6cfc9c46f9206aa850192e80024d'), 'a PyTorch file'],
    ['k.keras', zip('metadata.json'), 'a Keras model'],
    ['k.h5', bytes('894844460d0a1a0a'), 'an HDF5 file, as Keras saves models'],
    ['m.zip', zip('model.onnx'), 'a ZIP archive'],
    ['m.onnx.gz', bytes('1f8b0800'), 'a gzip file'],
    ['lite.tflite', '\x1c\x00\x00\x00TFL3', 'a TensorFlow Lite model'],
    ['w.safetensors', `\x40${'\x00'.repeat(7)}{"__metadata__":{}}`, 'weights in safetensors, without their model'],
    ['q.gguf', 'GGUF\x03', 'a language model in GGUF'],
    ['frozen.pb', bytes('0a2b0a0178'), 'a TensorFlow graph'],
    ['saved_model.pb', bytes('080112a5'), 'the graph of a TensorFlow SavedModel'],
    ['lfs.onnx', 'version https://git-lfs.github.com/spec/v1\noid sha256:', 'a Git LFS pointer, not the file itself'],
    ['login.onnx', '<!DOCTYPE html><html>', expect.stringContaining('a web page') as unknown as string],
    ['p.pmml', '<?xml version="1.0"?><PMML>', 'XML, as PMML is'],
    ['train.py', 'import sklearn', 'a Python program'],
    ['rule.cjs', 'module.exports = {}', 'a script by another name'],
    ['model.onnx', "import { defineScript } from 'headrace'", 'a script'],
    ['any.json', '{"a": 1}', 'JSON'],
    ['none.onnx', '', 'an empty file'],
  ])('recognises %s', async (name, content, expected) => {
    expect(await found(name, typeof content === 'string' ? Buffer.from(content, 'latin1') : content)).toEqual(expected)
  })

  it('tells of a script only what no script can be', async () => {
    expect(await found('model.ts', '[1, 2].map(String)')).toBeUndefined()
    expect(await found('model.js', '{ const tree = 1 }')).toBeUndefined()
    expect(await found('model.mjs', '<!DOCTYPE html><html>')).toContain('a web page')
  })

  it('says how to export to ONNX', async () => {
    writeFileSync(join(folder, 'sk.pkl'), bytes('800495cd02000000'))
    expect((await foreignFormat(join(folder, 'sk.pkl')))?.remedy).toContain('skl2onnx.to_onnx')
  })

  it('recognises a SavedModel folder, and finds the ONNX file in another', async () => {
    mkdirSync(join(folder, 'saved'))
    writeFileSync(join(folder, 'saved', 'saved_model.pb'), '')
    expect((await foreignFormat(join(folder, 'saved')))?.remedy).toContain('--saved-model saved')
    mkdirSync(join(folder, 'other'))
    writeFileSync(join(folder, 'other', 'net.onnx'), '')
    expect((await foreignFormat(join(folder, 'other')))?.remedy).toContain('"net.onnx"')
  })

  it('does not take ONNX for anything else, whole or cut off', async () => {
    const model = linearModel([1, 2, 3])
    expect(await found('a.onnx', model)).toBeUndefined()
    expect(await found('b.onnx', model.subarray(0, 50))).toBeUndefined()
  })
})
