// Says what arrived when it is not ONNX, and how to turn it into ONNX: the first thing that people push is often the file
// that their training library saves.
import { open, readdir, stat } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import type { NativeFormat } from '../formats/index.js'
import { isScript } from './model-file.js'

export interface ForeignFormat {
  /** As in "it is a Python pickle". */
  readonly found: string
  readonly remedy: string
  /** A push converts it. */
  readonly native?: NativeFormat
}

interface Evidence {
  /** The first kilobytes, and the same as Latin-1 text. */
  readonly bytes: Buffer
  readonly text: string
  readonly name: string
  /** Lower-case, with its dot. */
  readonly extension: string
}

interface Format extends ForeignFormat {
  /** What it tells apart can also stand where a script should. */
  readonly isOfAny?: true
  readonly is: (file: Evidence) => boolean
}

const SKLEARN = 'Export it where you train: onnx.save(skl2onnx.to_onnx(model, X[:1]), "model.onnx").'
const TORCH = 'Export it where you train: torch.onnx.export(model, example_input, "model.onnx").'
const KERAS = 'Export it where you train: model.export("model.onnx", format="onnx"), or use tf2onnx.'
const PUSH = 'Push it, which converts it: headrace models push <name> <file>.'
const OLD_XGBOOST = 'Save it as model.save_model("model.ubj") and push that: headrace models push <name> model.ubj.'
const SERVE_REMOTELY =
  'Or serve it as it is with a server made for it, such as Triton, and push a version that points there: headrace models push <name> --remote grpc://host:8001.'
const UNPACK = 'Unpack it and give the .onnx file inside.'

/** Where the name of a ZIP archive's first entry begins. */
const ZIP_NAME_AT = 30
const TORCH_ENTRY = /^[^/]+\/(?:data\/\d+|code\/|constants|byteorder|version|\.data\/|\.format_version)/

// The order matters: what is told from its first bytes comes before what is only told from its name.
const FORMATS: readonly Format[] = [
  {
    is: ({ bytes }) => bytes.length === 0,
    isOfAny: true,
    found: 'an empty file',
    remedy: 'Copy or export it again.',
  },
  {
    is: ({ text }) => text.startsWith('version https://git-lfs'),
    isOfAny: true,
    found: 'a Git LFS pointer, not the file itself',
    remedy: 'Run "git lfs pull" first.',
  },
  {
    is: ({ text, extension }) => text.startsWith('PK') && (extension === '.keras' || text.includes('metadata.json')),
    found: 'a Keras model',
    remedy: KERAS,
  },
  {
    // TorchScript begins with its tensors, and the pickle comes after them.
    is: ({ text }) =>
      text.startsWith('PK') && (text.includes('/data.pkl') || TORCH_ENTRY.test(text.slice(ZIP_NAME_AT))),
    found: 'a PyTorch file (TorchScript or saved weights)',
    remedy: `${TORCH} ${SERVE_REMOTELY}`,
  },
  { is: ({ text }) => text.startsWith('PK'), found: 'a ZIP archive', remedy: UNPACK },
  { is: ({ bytes }) => startsWith(bytes, 0x1f, 0x8b), found: 'a gzip file', remedy: UNPACK },
  { is: ({ bytes }) => startsWith(bytes, 0x28, 0xb5, 0x2f, 0xfd), found: 'a Zstandard file', remedy: UNPACK },
  { is: ({ text }) => text.startsWith('\x89HDF'), found: 'an HDF5 file, as Keras saves models', remedy: KERAS },
  {
    is: ({ text }) => text.startsWith('GGUF') || text.startsWith('ggml'),
    found: 'a language model in GGUF',
    remedy: 'Serve it with a server made for it, such as llama.cpp.',
  },
  {
    is: ({ text }) => text.slice(4, 8) === 'TFL3',
    found: 'a TensorFlow Lite model',
    remedy: 'Convert it: python -m tf2onnx.convert --tflite model.tflite --output model.onnx.',
  },
  { is: ({ text }) => text.slice(8, 10) === '{"', found: 'weights in safetensors, without their model', remedy: TORCH },
  {
    is: ({ text }) => text.startsWith('CBM1'),
    found: 'a CatBoost model',
    remedy: 'Export it where you train: model.save_model("model.onnx", format="onnx").',
  },
  {
    is: ({ text }) => text.startsWith('tree\n') || text.startsWith('tree\r\n'),
    found: 'a LightGBM model in its text format',
    remedy: PUSH,
    native: 'lightgbm',
  },
  {
    is: ({ text }) => /^\s*\{/.test(text) && text.includes('learner'),
    found: 'an XGBoost model in its own format',
    remedy: PUSH,
    native: 'xgboost',
  },
  {
    is: ({ text }) => text.startsWith('binf'),
    found: 'an XGBoost model in its old binary format',
    remedy: OLD_XGBOOST,
  },
  {
    is: ({ extension }) => extension === '.pt' || extension === '.pth',
    found: 'a PyTorch file',
    remedy: `${TORCH} ${SERVE_REMOTELY}`,
  },
  { is: ({ extension }) => extension === '.joblib', found: 'a joblib file (a Python pickle)', remedy: SKLEARN },
  { is: ({ bytes }) => isPickle(bytes), found: 'a Python pickle', remedy: SKLEARN },
  { is: ({ text }) => /^\s*<(\?xml|PMML)/.test(text), found: 'XML, as PMML is', remedy: SKLEARN },
  {
    is: ({ text }) => /^\s*<(!doctype|html)/i.test(text),
    isOfAny: true,
    found: 'a web page, probably an error or a login page that was downloaded in place of the file',
    remedy: 'Open it to see what it says, then download the file again.',
  },
  {
    is: ({ text }) => text.includes('defineScript'),
    found: 'a script',
    remedy: 'A script is code: it is not taken over HTTP. Name it .ts and push it where the models folder is.',
  },
  {
    is: ({ extension }) => extension === '.py' || extension === '.ipynb',
    found: 'a Python program',
    remedy:
      'Export the model it trains to ONNX. What is no model but rules can be a script: see "Scripts" in docs/models.md.',
  },
  {
    is: ({ extension }) => ['.cjs', '.mts', '.cts', '.tsx', '.jsx'].includes(extension),
    found: 'a script by another name',
    remedy: 'Scripts are ECMAScript modules named .ts, .mjs or .js.',
  },
  { is: ({ text }) => /^\s*[{[]/.test(text), found: 'JSON', remedy: 'Give the .onnx file.' },
  {
    is: ({ name }) => name === 'saved_model.pb',
    found: 'the graph of a TensorFlow SavedModel',
    remedy: `Convert its folder: python -m tf2onnx.convert --saved-model <folder> --output model.onnx. ${SERVE_REMOTELY}`,
  },
  {
    is: ({ extension }) => extension === '.pb',
    found: 'a TensorFlow graph',
    remedy: `Convert it: python -m tf2onnx.convert --graphdef model.pb --inputs x:0 --outputs y:0 --output model.onnx. ${SERVE_REMOTELY}`,
  },
  {
    is: ({ extension }) => extension === '.mlmodel' || extension === '.mlpackage',
    found: 'a Core ML model',
    remedy: 'Export it to ONNX where you train instead.',
  },
]

/** What a file or folder is that is no ONNX and no script; undefined when nothing known fits, as for an ONNX file that was cut off. */
export async function foreignFormat(path: string): Promise<ForeignFormat | undefined> {
  if ((await stat(path)).isDirectory()) return folderFormat(path)
  const bytes = await firstBytes(path, 4096)
  const evidence: Evidence = {
    bytes,
    text: bytes.toString('latin1'),
    name: basename(path),
    extension: extname(path).toLowerCase(),
  }
  return FORMATS.find((format) => (format.isOfAny || !isScript(path)) && format.is(evidence))
}

async function folderFormat(path: string): Promise<ForeignFormat> {
  const names = await readdir(path)
  if (names.includes('saved_model.pb')) {
    return {
      found: 'a TensorFlow SavedModel',
      remedy: `Convert it: python -m tf2onnx.convert --saved-model ${basename(path)} --output model.onnx. ${SERVE_REMOTELY}`,
    }
  }
  const onnx = names.find((name) => name.endsWith('.onnx'))
  return { found: 'a folder', remedy: onnx ? `Give the file "${onnx}" inside it.` : 'Give the .onnx file.' }
}

export async function firstBytes(file: string, length: number): Promise<Buffer> {
  const handle = await open(file, 'r')
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

function startsWith(bytes: Buffer, ...prefix: number[]): boolean {
  return prefix.every((byte, i) => bytes[i] === byte)
}

/** Protocol 2 and later: the PROTO opcode and a protocol number. */
function isPickle(bytes: Buffer): boolean {
  return bytes[0] === 0x80 && bytes[1]! >= 2 && bytes[1]! <= 5
}

/** Which library's own file it is, when a push converts it. */
export async function nativeFormat(file: string): Promise<NativeFormat | undefined> {
  const isFile = await stat(file).then(
    (found) => found.isFile(),
    () => false,
  )
  return isFile && !isScript(file) ? (await foreignFormat(file))?.native : undefined
}
