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
    // Patience costs nothing where all is well: a machine of CI is slow, and others use its cores.
    testTimeout: 90_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
    // Native modules (ONNX Runtime, libsql, DuckDB) are loaded by many files: processes keep their crashes apart.
    pool: 'forks',
    maxWorkers: 2,
    onConsoleLog: () => undefined,
  },
})
