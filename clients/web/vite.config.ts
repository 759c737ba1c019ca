import vue from '@vitejs/plugin-vue'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Where `npm run dev` finds a running Kelian; the built pages are served by Kelian itself. */
const server = process.env['KELIAN_DEV_SERVER'] ?? 'https://localhost:8443'

export default defineConfig({
  base: './',
  plugins: [vue()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    // The browser floor of src/platform/browser.ts.
    target: ['chrome94', 'safari15.4', 'firefox96'],
    sourcemap: true,
    chunkSizeWarningLimit: 600,
  },
  server: {
    proxy: {
      '/ws': { target: server, ws: true, secure: false },
      '/api': { target: server, secure: false },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node', testTimeout: 10_000 },
})
