import { OperatorError } from '../../core/errors.ts'
import { isLoopback } from '../../plugins/kit/network.ts'
import type { Catalogue } from './catalogue.ts'
import type { ResolvedConfig } from './resolved-config.ts'
import type { WholeBroker } from './whole-broker.ts'

interface ListenerOptions {
  readonly allowAnonymous?: boolean | null
  readonly host?: string | null
  readonly socketPath?: string | null
  readonly tls?: unknown
}

/**
 * Whether anybody could connect, now that all plugins are applied: a line for the log where listeners bind to loopback only for that reason, null where
 * nothing is to be said. Throws an `OperatorError` where the config does not allow it.
 */
export function checkGuard(catalogue: Catalogue, { settings, plugins }: ResolvedConfig, broker: WholeBroker): string | null {
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

/**
 * What is said where clients show who they are by listeners without TLS that other machines reach, and nobody said `tls: false` there: whoever is on the way reads
 * their passwords. Null: nothing.
 */
export function plainListeners(catalogue: Catalogue, { settings, plugins }: ResolvedConfig, broker: WholeBroker): string | null {
  if (!broker.hooks.onAuthenticate.isUsed() || (broker.services.find('tls')?.shared ?? null) !== null) return null
  const plain = plugins.filter(({ name, options }) => {
    const { host, tls, allowAnonymous, socketPath } = options as ListenerOptions
    if ((socketPath ?? null) !== null) return false
    if (catalogue.plugins[name]?.manifest.listener !== true || (tls ?? null) !== null) return false
    return broker.addressesFor(host ?? settings.host, allowAnonymous ?? undefined).some(address => !isLoopback(address))
  })
  if (plain.length === 0) return null
  const names = plain.map(({ name, section = name }) => section).join(' and ')
  const cure = "add ssl: { cert, key }; where a proxy ends TLS on this machine say host: '127.0.0.1'; if it is meant say tls: false there"
  return `${names}: without TLS, so passwords can be read on the way to the broker; ${cure}`
}
