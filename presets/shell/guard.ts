import type { BrokerCore } from '../../core/broker-core.ts'
import { OperatorError } from '../../core/errors.ts'
import type { Catalogue } from './catalogue.ts'
import type { ResolvedConfig } from './resolved-config.ts'

interface ListenerOptions {
  readonly allowAnonymous?: boolean | null
}

/**
 * Whether anybody could connect, now that all plugins are applied: a line for the log where listeners bind to loopback only for that reason, null where
 * nothing is to be said. Throws an `OperatorError` where the config does not allow it.
 */
export function checkGuard(catalogue: Catalogue, { settings, plugins }: ResolvedConfig, broker: BrokerCore): string | null {
  const listeners = plugins.filter(({ name }) => catalogue.plugins[name]?.manifest.listener === true)
  // Where each listener says for itself whom it lets in, nothing is left to say at the root.
  const said = listeners.length > 0 && listeners.every(({ options }) => typeof (options as ListenerOptions).allowAnonymous === 'boolean')
  if (said || !broker.unguarded()) return null
  const cure = 'add an authentication plugin, or say allowAnonymous: true'
  if (settings.requireAuthentication) {
    throw new OperatorError(
      'ERR_UNGUARDED',
      `allowAnonymous: anybody could connect, which this preset does not allow unless it is said; ${cure}`,
    )
  }
  return `anybody may connect, so listeners bind to loopback only; to open them, ${cure}`
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** `requireAuthentication` is set, and anybody could connect. */
    ERR_UNGUARDED: true
  }
}
