import type { Server } from 'node:net'
import { definePlugin } from '../../core/plugin.ts'
import { ClientLines } from '../kit/client-lines.ts'
import { ListenerTls, tlsAtPath } from '../kit/listening/listener-tls.ts'
import { closeServer, openListener, pathOf, verifyListener } from '../kit/listening/open-server.ts'
import { Proxies } from '../kit/listening/proxies.ts'
import { RefusedLines } from '../kit/listening/refused-lines.ts'
import { CountedSeats } from '../kit/listening/seats.ts'
import { usesHandles } from '../kit/transports/handle-trial.ts'
import { socketManifest } from './manifest.ts'
import type { SocketListener } from './socket-listener.ts'
import { createTcpServer } from './tcp-server.ts'
import { createTlsServer } from './tls-server.ts'

/** MQTT over TCP, and over TLS. */
export const socket = definePlugin(
  socketManifest,
  (
    context,
    { name, port, host, socketPath, socketMode, tls: tlsOption, maxConnections, allowAnonymous, trustedProxies, alpn, sharedRead },
  ) => {
    const { broker, log, at } = context
    const tls = new ListenerTls(context, tlsAtPath(tlsOption, socketPath, at))
    const seats = new CountedSeats(maxConnections, new RefusedLines(broker, at))
    const lines = new ClientLines(context.clock, log)
    let servers: Server[] = []
    let place = { name: 'socket', at, host, port, allowAnonymous, path: socketPath, mode: socketMode }
    const proxies = trustedProxies.length === 0 ? null : new Proxies({ broker, lines, trusted: trustedProxies, at: `${at}.trustedProxies` })
    const path = socketPath === null ? null : pathOf(broker, socketPath)
    return {
      async verify() {
        await tls.verify()
        verifyListener(broker, place)
      },
      start: () => tls.start(),
      async listen() {
        const { certificates } = tls
        const protocol = certificates === null ? 'tcp' : 'tls'
        const handles = await usesHandles(protocol, sharedRead, log)
        const allowed = allowAnonymous ?? undefined
        const listener: SocketListener = { broker, name, seats, lines, allowAnonymous: allowed, proxies, path, alpn, handles }
        const create = () => (certificates === null ? createTcpServer(listener) : createTlsServer(listener, certificates))
        const opened = await openListener(broker, place, protocol, create)
        servers = [...opened.servers]
        place = { ...place, port: opened.port }
        return [opened.line]
      },
      async unlisten() {
        await Promise.all(servers.splice(0).map(closeServer))
      },
      reread: () => tls.reread(),
      async stop() {
        tls.stop()
        lines.flush()
        await Promise.all(servers.map(closeServer))
      },
    }
  },
)
