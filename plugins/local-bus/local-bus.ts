import { definePlugin } from '../../core/plugin.ts'
import type {} from '../kit/services/local-sockets.ts'
import type {} from '../kit/services/supervisor.ts'
import { LocalBus } from './bus.ts'
import { LocalWays } from './local-ways.ts'
import { localBusManifest } from './manifest.ts'
import { WorkerParts } from './parts.ts'

/** Makes one broker of its workers where no server does: the bus between them by local sockets, and one store of those that each has. */
export const localBus = definePlugin(localBusManifest, ({ services, broker, clock, worker, log, report }) => {
  const supervisor = services.find('supervisor')
  const { folder = '' } = supervisor ?? {}
  const self = String(broker.settings.brokerId)
  const base = self.replace(/\/\d+$/, '')
  // `check` applies it, too, in a process that is no worker.
  const all = worker === null ? [self] : Array.from({ length: worker.count }, (_, i) => `${base}/${i + 1}`)
  const bus = new LocalBus(folder, self, clock, log, new LocalWays(services.find('localSockets')))
  const parts = new WorkerParts(bus, all, clock, report, supervisor)
  bus.stores = parts
  bus.onLost = () =>
    supervisor?.replace(
      'the other workers have taken this one for dead, which stood still for too long: it ends, and another takes its place',
    )
  services.provide('bus', bus, 'localBus')
  services.provide('parts', parts, 'localBus')
  return { stop: () => bus.stop() }
})
