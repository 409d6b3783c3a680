import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { OperatorError } from '../../core/errors.ts'
import { clientTls } from '../kit/client-tls.ts'
import type { ConnectionOptions } from './rules.ts'

/** Where another broker is. */
export interface RemoteAddress {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** For log lines. */
  readonly text: string
}

const shape = /^(?:(mqtts?|tcp|ssl):\/\/)?(?:\[([0-9A-Fa-f:.%]+)\]|([^\s/:@[\]]+))(?::(\d{1,5}))?\/?$/

/** Reads an address; what is wrong with it is an `OperatorError`. `at`: where it stands in the config. */
export function readAddress(text: string, at: string, tls: boolean): RemoteAddress {
  const [, scheme, v6, name, digits] = shape.exec(text) ?? []
  const host = v6 ?? name
  const encrypted = tls || scheme === 'mqtts' || scheme === 'ssl'
  const port = digits === undefined ? (encrypted ? 8883 : 1883) : Number(digits)
  if (host === undefined || port < 1 || port > 65_535)
    throw new OperatorError('ERR_CONFIG', `${at}: ${JSON.stringify(text)} is no address; write host:port, or mqtts://host:8883`)
  return { host, port, tls: encrypted, text: `${v6 === undefined ? host : `[${host}]`}:${port}` }
}

/** Opens a connection; `opened` is called when bytes can be written. Throws an `OperatorError` where a file of `ssl` cannot be read. */
export function openSocket(
  { host, port, tls }: RemoteAddress,
  { ssl, alpn, checkName, bindAddress }: ConnectionOptions,
  at: string,
  locate: (file: string) => string,
  opened: () => void,
): Socket {
  const localAddress = bindAddress === undefined ? {} : { localAddress: bindAddress }
  if (!tls) {
    const socket = connectTcp({ host, port, noDelay: true, ...localAddress }, opened)
    return socket
  }
  const socket = connectTls(
    {
      host,
      port,
      ...localAddress,
      // A server name is a name: an address is none (RFC 6066, 3).
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...clientTls(`${at}.ssl`, ssl, locate),
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
      ...(checkName ? {} : { checkServerIdentity: () => undefined }),
    },
    opened,
  )
  socket.setNoDelay(true)
  return socket
}
