import { definePlugin } from '../../core/plugin.ts'
import { Enforcement } from './enforcement.ts'
import { limitsOptions } from './options.ts'

/** Limits on what comes from many clients and over time. A limit that has never been on taps nothing and costs nothing. */
export const limits = definePlugin({
  name: 'limits',
  options: limitsOptions,
  apply: (context, options) => new Enforcement(context, options),
})
