import { defineManifest } from '../kit/define-manifest.ts'

export const memoryManifest = defineManifest({
  name: 'memory',
  provides: ['sessions', 'retained', 'state'],
  options: {},
})
