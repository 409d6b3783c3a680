import { defineManifest } from '../../core/manifest.ts'
import { sslOptions } from '../kit/listening/tls-options.ts'

export const sslManifest = defineManifest({
  name: 'ssl',
  provides: ['tls'],
  options: sslOptions,
})
