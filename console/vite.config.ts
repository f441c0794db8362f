// Builds the console into the package. Everything is served by Headrace itself: no inline script, nothing from elsewhere.
import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/console/',
  plugins: [
    react(),
    {
      // Not a module: it has to run before the first paint, and Vite bundles modules only.
      name: 'theme-first',
      transformIndexHtml: () => [{ tag: 'script', attrs: { src: '/console/theme.js' }, injectTo: 'head' }],
    },
  ],
  build: {
    outDir: fileURLToPath(new URL('../dist/console', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    // Data URLs would need their own permission in the content security policy.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
})
