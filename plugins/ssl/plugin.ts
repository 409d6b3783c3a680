import { definePlugin } from '../../core/plugin.ts'
import { TlsContexts } from '../../core/tls/tls-contexts.ts'
import { sslOptions } from './options.ts'

/** TLS for `socket` and `websocket`: reads the certificates, keeps them fresh, and hands them to whoever listens. */
export const ssl = definePlugin({
  name: 'ssl',
  options: sslOptions,
  provides: ['tls'],
  apply({ broker, services, clock, log }, options) {
    const contexts = new TlsContexts(options, 'ssl', { folder: broker.folder, clock, log })
    services.provide('tls', contexts, 'ssl')
    return {
      start: () => contexts.start(),
      reread: () => contexts.reread(),
      stop: () => contexts.stop(),
    }
  },
})
