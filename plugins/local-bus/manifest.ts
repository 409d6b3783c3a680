import { defineManifest } from '../kit/define-manifest.ts'

/** Makes one broker of its workers where no server does: the bus between them, and one store of those that each has. */
export const localBusManifest = defineManifest({
  name: 'localBus',
  // It owns `bus` and `parts` where `workers` bring it along; nobody else is to be told to add it.
  options: {},
})
