import { definePlugin } from '../../core/plugin.ts'
import { Enforcement } from './enforcement.ts'
import { limitsManifest } from './manifest.ts'

/** Limits on what comes from many clients and over time. A limit that has never been on taps nothing and costs nothing. */
export const limits = definePlugin(limitsManifest, (context, options) => new Enforcement(context, options))
