import { defineOptions } from '../../core/config/options.ts'

export const socketOptions = defineOptions({
  /** The TCP port. 0 picks a free one. */
  port: { type: 'integer', default: 1883, minimum: 0, maximum: 65535 },
  /** The address to bind to, in place of the root's `host`. */
  host: { type: 'string', default: null, minLength: 1 },
  /** Reads all connections into one buffer, where Node allows it: less CPU for each packet. `false` reads by the documented way. */
  sharedRead: { type: 'boolean', default: true },
})
