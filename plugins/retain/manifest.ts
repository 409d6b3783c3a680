import { defineManifest } from '../kit/define-manifest.ts'

export const retainManifest = defineManifest({
  name: 'retain',
  requires: ['retained'],
  options: {
    /** Retained messages sent to one new subscription before other clients get their turn. */
    pageSize: { type: 'integer', default: 100, minimum: 1, maximum: 10_000 },
  },
})
