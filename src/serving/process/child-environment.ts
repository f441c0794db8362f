// What a process with models knows of the server's environment: how to find programs, libraries and devices, and not its secrets.

const KEPT = new Set([
  'PATH',
  'HOME',
  'USER',
  'TMPDIR',
  'TEMP',
  'TMP',
  'TZ',
  'LANG',
  'LANGUAGE',
  'SYSTEMROOT',
  'LD_LIBRARY_PATH',
  'LD_PRELOAD',
  'DYLD_LIBRARY_PATH',
  'NODE_EXTRA_CA_CERTS',
])
const KEPT_PREFIXES = ['LC_', 'CUDA_', 'NVIDIA_', 'CUDNN_', 'TENSORRT_', 'ORT_', 'OMP_', 'MALLOC_', 'GLIBC_']

/**
 * glibc gives large blocks back at once only while it maps them one by one, and it stops doing that after the first one was freed.
 * Fixed limits, and two arenas for all threads, leave least behind (docs/design/isolation.md has the figures).
 */
const ALLOCATION = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '1048576', MALLOC_TRIM_THRESHOLD_: '1048576' }

export function childEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept: NodeJS.ProcessEnv = { ...ALLOCATION }
  for (const [name, value] of Object.entries(environment)) {
    if (KEPT.has(name.toUpperCase()) || KEPT_PREFIXES.some((prefix) => name.startsWith(prefix))) kept[name] = value
  }
  return kept
}
