import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'bench/**/*.test.ts',
      'src/**/*.test.ts',
      'test/**/*.test.ts',
      'examples/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    exclude: ['**/node_modules/**', 'test/types/**'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Native modules (ONNX Runtime, libsql, DuckDB) are loaded by many files: processes keep their crashes apart.
    pool: 'forks',
    maxWorkers: 2,
    onConsoleLog: () => undefined,
  },
})
