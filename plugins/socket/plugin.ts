import type { Server } from 'node:net'
import { definePlugin } from '../../core/plugin.ts'
import { socketOptions } from './options.ts'
import { closeServer, openServer } from './server.ts'

/** MQTT over TCP. */
export const socket = definePlugin({
  name: 'socket',
  options: socketOptions,
  apply({ broker }, { port, host, sharedRead }) {
    const servers: Server[] = []
    return {
      async listen() {
        const addresses = broker.addressesFor(host ?? broker.settings.host)
        const opened: string[] = []
        let bound = port
        for (const address of addresses) {
          const server = await openServer(broker, address, bound, sharedRead, servers.length > 0)
          if (server === null) continue
          servers.push(server)
          opened.push(address.includes(':') ? `[${address}]` : address)
          // With port 0 the second address gets the port that the first was given.
          bound = (server.address() as { port: number }).port
        }
        broker.listening({ name: 'socket', protocol: 'tcp', host: addresses[0]!, port: bound })
        return [`tcp listening on ${opened.join(' and ')}:${bound}`]
      },
      async stop() {
        await Promise.all(servers.map(closeServer))
      },
    }
  },
})
