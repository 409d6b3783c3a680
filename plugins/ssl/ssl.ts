import type { PluginContext } from '../../core/context.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { TlsService } from '../kit/services/tls.ts'
import { sslManifest } from './manifest.ts'
import { TlsContexts } from './tls-contexts.ts'

/** TLS for `socket` and `websocket`: reads the certificates, keeps them fresh, and hands them to whoever listens. */
export const ssl = definePlugin(sslManifest, (context, options) => {
  const contexts = new TlsContexts(options, 'ssl', surroundings(context))
  context.services.provide('tls', serviceOf(context, contexts), 'ssl')
  return {
    verify: () => contexts.verify(),
    start: () => contexts.start(),
    reread: () => contexts.reread(),
    stop: () => contexts.stop(),
  }
})

/** Stands for `ssl` where there is no such section and a listener brings certificates of its own. */
export const sslForListeners = definePlugin({ ...sslManifest, options: {} }, context => {
  context.services.provide('tls', serviceOf(context, null), 'ssl')
})

function surroundings({ broker, clock, log }: PluginContext) {
  return { folder: broker.folder, clock, log, clients: broker.clients }
}

function serviceOf(context: PluginContext, shared: TlsContexts | null): TlsService {
  return { shared, own: (options, at) => new TlsContexts(options, at, surroundings(context)) }
}
