import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { isLoopback } from '../network.ts'

// Whoever asks does so at once.
const silentMs = 1000

/**
 * Keeps the port free for whoever asks: a connection that says nothing for a second is closed, and where there are too many the one goes that has been
 * silent for longest. An orchestrator that could not ask would end the process.
 */
export function keepShort(server: Server, connectionsMax: number): void {
  // In the order in which they came, or were answered.
  const silent = new Set<Socket>()
  server.headersTimeout = silentMs
  server.requestTimeout = silentMs
  server.keepAliveTimeout = silentMs
  server.on('connection', (socket: Socket) => {
    silent.add(socket)
    socket.on('close', () => silent.delete(socket))
    if (silent.size > connectionsMax) silent.values().next().value!.destroy()
  })
  server.on('request', ({ socket }, response) => {
    silent.delete(socket)
    response.on('close', () => {
      if (!socket.destroyed) silent.add(socket)
    })
  })
}

/** Options of a server that looks often enough whether a connection has been silent for too long; Node itself looks every 30 s. */
export const looksOften = { connectionsCheckingInterval: silentMs / 2 }

/** Why a request is not answered: it is for a name that is not this port's; null: it is. `option` names the list of names, for the message. */
export function hostFault(header: string | undefined, hosts: readonly string[] | null, boundTo: string, option: string): string | null {
  // Only HTTP/1.0 has none, which no browser speaks.
  if (header === undefined) return null
  const name = header.replace(/:\d*$/, '').toLowerCase()
  if (hosts !== null) return hosts.some(host => host.toLowerCase() === name) || isLoopback(name) ? null : `not one of ${option}`
  return !isLoopback(boundTo) || isLoopback(name) ? null : `not a name of loopback; ${option} takes others`
}
