import { defineManifest } from '../../core/manifest.ts'

export const memoryManifest = defineManifest({
  name: 'memory',
  provides: ['sessions', 'retained'],
  options: {},
})
