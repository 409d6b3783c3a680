import { defineManifest } from '../kit/define-manifest.ts'
import { sslOptions } from '../kit/listening/tls-options.ts'

export const sslManifest = defineManifest({
  name: 'ssl',
  provides: ['tls'],
  options: sslOptions,
})
