import type { Duplex } from 'node:stream'

/** What a client is connected by: a `net.Socket`, a `tls.TLSSocket`, or any other stream of bytes. */
export type Connection = Duplex
