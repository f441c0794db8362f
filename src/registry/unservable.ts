// Why a registered version cannot be served, and what to do where it is trained. The reader is a data scientist with a notebook open.
import { basename, extname } from 'node:path'
import type { MlModel } from './mlmodel.js'
import type { VersionFile } from './service.js'

const LOG_ONNX = 'mlflow.onnx.log_model(onnx_model, name="model", registered_model_name="<model>")'
const WITH_TORCH = ['torch.onnx.export(model, example_input, "model.onnx")', 'onnx_model = onnx.load("model.onnx")']

interface Advice {
  readonly what: string
  readonly lines: readonly string[]
}

const SKLEARN: Advice = {
  what: 'a scikit-learn model (a Python pickle)',
  lines: ['from skl2onnx import to_onnx', 'onnx_model = to_onnx(model, X[:1])', LOG_ONNX],
}
const TORCH: Advice = { what: 'a PyTorch model', lines: [...WITH_TORCH, LOG_ONNX] }
const KERAS: Advice = {
  what: 'a Keras or TensorFlow model',
  lines: ['model.export("model.onnx", format="onnx")', 'onnx_model = onnx.load("model.onnx")', LOG_ONNX],
}

/** By MLflow's flavor, the most telling first. */
const FLAVORS: readonly (readonly [string, Advice])[] = [
  ['sklearn', SKLEARN],
  ['pytorch', TORCH],
  ['keras', KERAS],
  ['tensorflow', KERAS],
  [
    'xgboost',
    {
      what: 'an XGBoost model that was saved as a Python pickle',
      lines: ['mlflow.xgboost.log_model(model.get_booster(), name="model", registered_model_name="<model>")'],
    },
  ],
  [
    'lightgbm',
    {
      what: 'a LightGBM model that was saved as a Python pickle',
      lines: ['mlflow.lightgbm.log_model(model.booster_, name="model", registered_model_name="<model>")'],
    },
  ],
  [
    'catboost',
    {
      what: 'a CatBoost model',
      lines: ['model.save_model("model.onnx", format="onnx")', 'onnx_model = onnx.load("model.onnx")', LOG_ONNX],
    },
  ],
  ['transformers', { what: 'a transformers pipeline', lines: [...WITH_TORCH, LOG_ONNX] }],
  ['sentence_transformers', { what: 'a sentence-transformers model', lines: [...WITH_TORCH, LOG_ONNX] }],
  [
    'spark',
    {
      what: 'a Spark ML pipeline',
      lines: [
        'from onnxmltools import convert_sparkml',
        'onnx_model = convert_sparkml(model, "model", inputs)',
        LOG_ONNX,
      ],
    },
  ],
]

/** By the ending of a file where there is no MLmodel. */
const ENDINGS: readonly (readonly [string, Advice])[] = [
  ['.pkl', SKLEARN],
  ['.joblib', SKLEARN],
  ['.skops', SKLEARN],
  ['.pt', TORCH],
  ['.pth', TORCH],
  ['.h5', KERAS],
  ['.keras', KERAS],
]

/** Of files none of which can be served. */
export function whyNotServable(files: readonly VersionFile[], mlModel: MlModel | undefined): string {
  if (files.length === 0)
    return 'it has no files. Log a model with files, or push one: headrace models push <model> <file.onnx>.'
  const byFlavor = FLAVORS.find(([flavor]) => mlModel?.flavors[flavor] !== undefined)
  if (byFlavor) return told(byFlavor[1])
  if (mlModel?.flavors['python_function'] !== undefined)
    return told({
      what: 'Python code (a pyfunc model)',
      lines: ['# export what it computes with to ONNX, then', LOG_ONNX],
    })
  const ending = ENDINGS.find(([end]) => files.some(({ path }) => extname(path).toLowerCase() === end))
  if (ending) return told(ending[1])
  const names = files.slice(0, 5).map(({ path }) => basename(path))
  return `none of its files is an ONNX model (it has ${names.join(', ')}${files.length > 5 ? ', …' : ''}). Register one that has a model.onnx.`
}

function told({ what, lines }: Advice): string {
  return `it is ${what}, and what is served is ONNX. Export it where you train, which makes a version that is served at once:\n${lines.map((line) => `    ${line}`).join('\n')}`
}
