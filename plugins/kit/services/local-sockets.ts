import type { Transport, TransportEvents } from '../../../core/connection/transport.ts'

/** One end of a connection between processes of one machine. */
export interface LocalTransport extends Transport {
  /** Begins to read: `events` are told from here on. */
  listen(events: TransportEvents): void
}

/** A socket that others may connect to. */
export interface OpenSocket {
  /** Takes no more connections. */
  close(): unknown
}

/** A way to sockets at paths of one machine, in place of Unix sockets: for whoever decides when what arrives. */
export interface LocalSockets {
  /** Opens a socket at a path; resolves when others may connect, with what closes it. */
  listen(path: string, accept: (transport: LocalTransport) => void): Promise<OpenSocket>
  /** Connects to one. What is written before it is open waits. */
  connect(path: string): LocalTransport
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** How `localBus` reaches the other workers, in place of Unix sockets. */
    localSockets: LocalSockets
  }
}
