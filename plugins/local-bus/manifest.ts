import { defineManifest } from '../kit/define-manifest.ts'

/** Makes one broker of its workers where no server does: the bus between them, and one store of those that each has. */
export const localBusManifest = defineManifest({
  name: 'localBus',
  provides: ['bus', 'parts'],
  options: {},
})
