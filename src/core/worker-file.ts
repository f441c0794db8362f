// Where a worker thread's compiled file is. Tests run the TypeScript source, but a thread starts from a real file,
// so a module under src/ is mapped to its build under dist/ ("npm test" builds first).

/** `workerFile(import.meta.url, './onnx-worker.js')`: the URL to give to `new Worker`. */
export function workerFile(moduleUrl: string, relative: string): URL {
  const url = new URL(relative, moduleUrl)
  if (moduleUrl.endsWith('.ts')) url.pathname = url.pathname.replace('/src/', '/dist/')
  return url
}
