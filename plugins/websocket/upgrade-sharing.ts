import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { OperatorError } from '../../core/errors.ts'
import { pathOf } from './upgrade.ts'

/** Takes a request for a WebSocket, and answers it whatever it is. */
export type TakeUpgrade = (request: IncomingMessage, socket: Socket, head: Buffer) => void

/**
 * The requests to upgrade that come to somebody else's server: one listener for each server, by which several brokers have their paths there. What is no broker's is left to
 * the server's other listeners. Where it has none, a WebSocket is refused, and anything else (clients of HTTP ask for `h2c` with ordinary requests) goes back to the
 * server as the request that it would have been without a listener.
 */
class UpgradeSharing {
  readonly #server: Server
  readonly #takers: Map<string, TakeUpgrade>
  readonly #listener: TakeUpgrade

  constructor(server: Server) {
    this.#server = server
    this.#takers = new Map()
    this.#listener = (request, socket, head) => {
      const take = this.#takers.get(pathOf(request))
      if (take !== undefined) return take(request, socket, head)
      if (server.listenerCount('upgrade') > 1) return
      if (/\bwebsocket\b/i.test(request.headers.upgrade ?? '')) this.#takers.values().next().value!(request, socket, head)
      else giveBack(server, request, socket, head)
    }
  }

  add(paths: readonly string[], take: TakeUpgrade): void {
    const taken = paths.find(path => this.#takers.has(path))
    if (taken !== undefined)
      throw new OperatorError('ERR_ATTACH', `attach.path: a broker is attached at ${taken} of this server already; choose another path`)
    if (this.#takers.size === 0) this.#server.on('upgrade', this.#listener)
    for (const path of paths) this.#takers.set(path, take)
  }

  remove(paths: readonly string[]): void {
    for (const path of paths) this.#takers.delete(path)
    if (this.#takers.size === 0) this.#server.off('upgrade', this.#listener)
  }
}

const sharings = new WeakMap<Server, UpgradeSharing>()

/** Takes the upgrades for these paths of a server from now on; returns what ends it. Throws an `OperatorError` (`ERR_ATTACH`) where another broker has one of them. */
export function takeUpgrades(server: Server, paths: readonly string[], take: TakeUpgrade): () => void {
  let sharing = sharings.get(server)
  if (sharing === undefined) sharings.set(server, (sharing = new UpgradeSharing(server)))
  const shared = sharing
  shared.add(paths, take)
  return () => shared.remove(paths)
}

/** The server reads the request again, without what asked for the upgrade; bodies and later requests of the connection come as ever. */
function giveBack(server: Server, { method, url, httpVersion, rawHeaders }: IncomingMessage, socket: Socket, head: Buffer): void {
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    const value = rawHeaders[i + 1]!
    if (/^(upgrade|http2-settings)$/i.test(name)) continue
    lines.push(`${name}: ${/^connection$/i.test(name) ? withoutUpgrade(value) : value}`)
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
}

function withoutUpgrade(connection: string): string {
  const kept = connection.split(',').filter(option => !/^\s*(upgrade|http2-settings)\s*$/i.test(option))
  return kept.join(',').trim() || 'keep-alive'
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A broker cannot be attached to a server: another one has the path there. */
    ERR_ATTACH: true
  }
}
