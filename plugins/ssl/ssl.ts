import { createHmac } from 'node:crypto'
import type { Broker } from '../../core/broker.ts'
import type { PluginContext } from '../../core/context.ts'
import { definePlugin } from '../../core/plugin.ts'
import { alarmsOf } from '../kit/alarms.ts'
import type {} from '../kit/services/supervisor.ts'
import type { TlsService } from '../kit/services/tls.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { type CertificateRow, certificatesVerb } from './certificates-verb.ts'
import { expiresSoon } from './check-certificate.ts'
import { sslManifest } from './manifest.ts'
import { subjectOf } from './peer-certificate.ts'
import { TlsContexts, type TlsSurroundings } from './tls-contexts.ts'

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

function surroundings({ broker, clock, log, services }: PluginContext): TlsSurroundings {
  const supervisor = services.find('supervisor')
  const sharedKeys = supervisor === undefined ? null : (of: string) => createHmac('sha384', supervisor.ticketKeys).update(of).digest()
  return { folder: broker.folder, clock, log, clients: broker.clients, sharedKeys }
}

function serviceOf(context: PluginContext, shared: TlsContexts | null): TlsService {
  const all = shared === null ? [] : [shared]
  tellExpiry(context.broker, all)
  return {
    shared,
    own(options, at) {
      const contexts = new TlsContexts(options, at, surroundings(context))
      all.push(contexts)
      return contexts
    },
  }
}

/** When certificates expire: a figure, an alarm, a verb. */
function tellExpiry(broker: Broker, all: readonly TlsContexts[]): void {
  const rows = (): CertificateRow[] =>
    all.flatMap(({ at, certificates }) =>
      certificates.map(certificate => ({ at, subject: subjectOf(certificate), expiresAt: Date.parse(certificate.validTo) })),
    )
  broker.verbs.add(defineVerb(broker, certificatesVerb, { run: () => ({ rows: rows() }) }))
  alarmsOf(broker).watch('certificateExpires', () => {
    const soon = all
      .flatMap(({ certificates }) => certificates.map(certificate => expiresSoon(certificate)))
      .filter(text => text !== undefined)
    return soon.length === 0 ? null : soon.join('; ')
  })
  broker.figures.add({
    name: 'certificate_expiry_seconds',
    type: 'gauge',
    help: 'Seconds until a certificate that is served expires, by where its options stand.',
    read: () =>
      rows().map(({ at, subject, expiresAt }) => ({ value: Math.round((expiresAt - Date.now()) / 1000), labels: { at, subject } })),
  })
}
