import { defineOptions } from '../../core/options/options.ts'

export const retainOptions = defineOptions({
  /** Retained messages sent to one new subscription before other clients get their turn. */
  pageSize: { type: 'integer', default: 100, minimum: 1, maximum: 10_000 },
})
