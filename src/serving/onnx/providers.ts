// What ONNX Runtime computes with. Providers are tried in the order given: a GPU that is not there is passed over, with a warning,
// when another provider follows, and fails the load when none does. Nobody is served by a CPU in place of the GPU they insist on.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import type { ExecutionProvider } from '../../tensor/index.js'
import { fail, OnnxFailure } from './failure.js'

export const CPU: ExecutionProvider = { name: 'cpu', options: {} }

/** A provider that was to be used and is not. */
export interface PassedOver {
  readonly name: ExecutionProvider['name']
  readonly reason: string
}

/** As the binding takes them. */
export type BindingProvider = string | { readonly name: string; readonly deviceId: number }

export function usesGpu(providers: readonly ExecutionProvider[]): boolean {
  return providers.some(({ name }) => name !== 'cpu')
}

/** Throws PROVIDER_OPTION_UNKNOWN. */
export function toBinding({ name, options }: ExecutionProvider): BindingProvider {
  let deviceId: number | undefined
  for (const [key, value] of Object.entries(options)) {
    const isDevice = (key === 'deviceId' || key === 'device_id') && name !== 'cpu'
    // The binding ignores what it does not know, and a user would believe that it works.
    if (!isDevice) throw fail('PROVIDER_OPTION_UNKNOWN', { provider: name, option: key })
    deviceId = Number(value)
    if (!(Number.isInteger(deviceId) && deviceId >= 0)) {
      throw fail('PROVIDER_OPTION_INVALID', { provider: name, option: key, value: String(value) })
    }
  }
  return deviceId === undefined ? name : { name, deviceId }
}

/** What opens with `providers`, or with those of them that work. Throws PROVIDER_UNAVAILABLE, and what `open` throws for the CPU. */
export async function withProviders<T>(
  providers: readonly ExecutionProvider[],
  open: (providers: readonly ExecutionProvider[]) => Promise<T>,
): Promise<{
  readonly opened: T
  readonly providers: readonly ExecutionProvider[]
  readonly passedOver: PassedOver[]
}> {
  const passedOver: PassedOver[] = []
  let rest = providers
  for (;;) {
    try {
      return { opened: await open(rest), providers: rest, passedOver }
    } catch (error) {
      const reason = refusal(error)
      const blamed = reason === undefined ? undefined : blamedProvider(rest, reason)
      if (reason === undefined || !blamed) throw error
      passedOver.push({ name: blamed.name, reason: whyNot(blamed.name, reason) })
      rest = rest.filter((provider) => provider !== blamed)
      if (rest.length > 0) continue
      const last = passedOver.at(-1)!
      throw fail('PROVIDER_UNAVAILABLE', { provider: last.name, reason: last.reason })
    }
  }
}

/** What the runtime said when it refused to open a session. */
function refusal(error: unknown): string | undefined {
  if (!(error instanceof OnnxFailure) || error.failure.key !== 'MODEL_REFUSED') return undefined
  return error.failure.params.reason
}

/** Which provider a failed load is to be tried without; undefined when it failed for another reason. */
function blamedProvider(providers: readonly ExecutionProvider[], reason: string): ExecutionProvider | undefined {
  if (!/cuda|cudnn|cublas|tensorrt|nvinfer/i.test(reason)) return undefined
  const named = /tensorrt|nvinfer/i.test(reason) ? 'tensorrt' : 'cuda'
  return providers.find(({ name }) => name === named) ?? providers.find(({ name }) => name !== 'cpu')
}

function whyNot(provider: ExecutionProvider['name'], reason: string): string {
  const missing = missingLibraries(provider)
  return missing.length === 0 ? reason : `${missing.join('; ')} (ONNX Runtime says: ${reason})`
}

/** What a provider needs and this machine does not have, as clauses; empty when all that can be looked for is there. */
export function missingLibraries(
  provider: ExecutionProvider['name'],
  folders: LibraryFolders = machineFolders(),
): string[] {
  if (provider === 'cpu') return []
  if (!['linux/x64', 'win32/x64'].includes(folders.platform)) {
    return [`onnxruntime-node has no ${provider} for ${folders.platform}`]
  }
  const isWindows = folders.platform.startsWith('win32')
  const own = OWN_LIBRARIES[provider].map((name) => (isWindows ? `${name}.dll` : `lib${name}.so`))
  const problems = missingFrom([folders.package], own, `is not in ${folders.package}`)
  if (isWindows) return problems
  for (const [what, names] of NEEDED[provider]) {
    problems.push(...missingFrom(folders.system, names, `of ${what} was not found`))
  }
  return problems
}

export interface LibraryFolders {
  /** As in `linux/x64`. */
  readonly platform: string
  /** Where onnxruntime-node keeps its native code. */
  readonly package: string
  /** Where the system's libraries are looked for. */
  readonly system: readonly string[]
}

type Gpu = Exclude<ExecutionProvider['name'], 'cpu'>

const OWN_LIBRARIES: { readonly [P in Gpu]: readonly string[] } = {
  cuda: ['onnxruntime_providers_shared', 'onnxruntime_providers_cuda'],
  tensorrt: ['onnxruntime_providers_shared', 'onnxruntime_providers_tensorrt'],
}
const CUDA: readonly (readonly [string, readonly string[]])[] = [
  ['the NVIDIA driver', ['libcuda.so.1']],
  ['CUDA 12', ['libcudart.so.12', 'libcublas.so.12']],
  ['cuDNN 9', ['libcudnn.so.9']],
]
const NEEDED: { readonly [P in Gpu]: typeof CUDA } = {
  cuda: CUDA,
  tensorrt: [...CUDA, ['TensorRT 10', ['libnvinfer.so.10']]],
}

function missingFrom(folders: readonly string[], names: readonly string[], how: string): string[] {
  return names
    .filter((name) => !folders.some((folder) => existsSync(join(folder, name))))
    .map((name) => `${name} ${how}`)
}

export function machineFolders(): LibraryFolders {
  const platform = `${process.platform}/${process.arch}`
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node')
  return {
    platform,
    package: join(dirname(entry), '..', 'bin', 'napi-v6', process.platform, process.arch),
    system: [
      ...(process.env['LD_LIBRARY_PATH'] ?? '').split(':').filter((folder) => folder !== ''),
      '/usr/local/cuda/lib64',
      '/usr/local/nvidia/lib64',
      '/usr/lib/x86_64-linux-gnu',
      '/usr/lib64',
      '/usr/lib',
      '/lib/x86_64-linux-gnu',
      '/lib64',
    ],
  }
}
