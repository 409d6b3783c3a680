import { accessSync, constants } from 'node:fs'
import { type AddressInfo, createServer, type ListenOptions, type Server } from 'node:net'
import { dirname, resolve } from 'node:path'
import type { Broker } from '../../../core/broker.ts'
import { OperatorError } from '../../../core/errors.ts'
import type {} from '../services/supervisor.ts'
import { isNamedPipe, listenAtSocket, removeStaleSocket } from './socket-file.ts'
import { choice, forbidden, noSuchHost, verifyPlace } from './verify-place.ts'

/** Where one listener is to be. */
export interface Place {
  /** The plugin: `socket`. */
  readonly name: string
  /** Where its options stand, for errors: `socket[1]`. */
  readonly at: string
  /** `null`: the root's `host`. */
  readonly host: string | null
  /** 0 picks a free one. */
  readonly port: number
  /** The listener's own word on it; `null`: as the root says. */
  readonly allowAnonymous: boolean | null
  /** A Unix socket, or a named pipe of Windows, in place of an address and a port; relative to the config's folder. `null`: there is none. */
  readonly path?: string | null
  /** Who may open the Unix socket, in octal digits as `chmod` takes them. */
  readonly mode?: string
}

/** A listener that is open: one server for each address that it is bound to. */
export interface OpenListener {
  /** One for each address. */
  readonly servers: readonly Server[]
  /** The port; where 0 was asked for, the one that the system chose. */
  readonly port: number
  /** Where, for the log: `tcp listening on 127.0.0.1 and [::1]:1883`. */
  readonly line: string
}

/**
 * Opens a listener on its host, or on loopback while anybody may connect and nobody said that this is meant. What hinders it is an
 * `OperatorError` with its cure; what had been opened is closed again then.
 */
export async function openListener(broker: Broker, place: Place, protocol: string, create: () => Server): Promise<OpenListener> {
  if (place.path != null) return openAtPath(broker, place, pathOf(broker, place.path), protocol, create)
  const addresses = addressesOf(broker, place)
  const servers: Server[] = []
  const opened: string[] = []
  let { port } = place
  try {
    for (const address of addresses) {
      const server = create()
      // Of the two addresses of loopback a machine may lack one.
      if (!(await listenOn(broker, server, address, port, place.at, servers.length > 0))) continue
      servers.push(server)
      opened.push(address.includes(':') ? `[${address}]` : address)
      // With port 0 the second address gets the port that the first was given.
      port = (server.address() as AddressInfo).port
    }
  } catch (error) {
    await Promise.all(servers.map(closeServer))
    throw error
  }
  broker.listening({ name: place.name, protocol, host: addresses[0]!, port })
  return { servers, port, line: `${protocol} listening on ${opened.join(' and ')}:${port}` }
}

/** Sees, without opening anything, whether a listener could be opened there; what hinders it is an `OperatorError` with its cure. */
export function verifyListener(broker: Broker, place: Place): void {
  const { at, port, path = null } = place
  if (path !== null) return verifyPath(broker, pathOf(broker, path), at)
  for (const address of addressesOf(broker, place)) verifyPlace(broker, address, port, at)
}

function addressesOf(broker: Broker, { host, allowAnonymous }: Place): string[] {
  const addresses = broker.addressesFor(host ?? broker.settings.host, allowAnonymous ?? undefined)
  return addresses[0] === 'localhost' ? ['127.0.0.1', '::1'] : addresses
}

/** The path of a listener's Unix socket or named pipe, whole. */
export function pathOf({ folder }: Pick<Broker, 'folder'>, path: string): string {
  return isNamedPipe(path) ? path : resolve(folder, path)
}

async function openAtPath(
  broker: Broker,
  { name, at, mode }: Place,
  path: string,
  protocol: string,
  create: () => Server,
): Promise<OpenListener> {
  const server = create()
  if (!isNamedPipe(path)) await removeStaleSocket(path)
  let opened: boolean
  try {
    opened = await listenAtSocket(server, path, Number.parseInt(mode ?? '600', 8), broker.settings.soBacklog)
  } catch (cause) {
    throw new OperatorError('ERR_LISTEN', `${at}.socketPath: cannot listen at ${path}: ${(cause as Error).message}`, { cause })
  }
  if (!opened) {
    const text = `${at}.socketPath: ${path} is there already, and is another program's socket, or no socket; stop that program, or name another path`
    throw new OperatorError('ERR_PORT_IN_USE', text)
  }
  server.on('error', error => broker.report(error))
  broker.listening({ name, protocol, host: path, port: 0 })
  return { servers: [server], port: 0, line: `${protocol} listening at ${path}` }
}

function verifyPath({ services }: Broker, path: string, at: string): void {
  if (services.find('supervisor') !== undefined)
    throw new OperatorError('ERR_LISTEN', `${at}.socketPath: workers share ports, but no path; name a port there, or leave out workers`)
  if (isNamedPipe(path)) return
  try {
    accessSync(dirname(path), constants.W_OK)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such folder; make it' : 'this user may not write there; grant that'
    throw new OperatorError('ERR_LISTEN', `${at}.socketPath: ${dirname(path)}: ${why}, or name another path`, { cause })
  }
}

/** Takes no more connections; those that are open go on. */
export function closeServer(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
    // `close` waits for connections, which the broker ends by itself.
    server.unref()
    resolve()
  })
}

/** Has a server listen; what hinders it is an `OperatorError` with its cure. `at`: where its options stand. `false`: the address is not there, which was allowed. */
export async function listenOn(broker: Broker, server: Server, host: string, port: number, at: string, optional = false): Promise<boolean> {
  const supervisor = broker.services.find('supervisor')
  const shared = supervisor?.sharing === 'reusePort'
  const options = { host, port, backlog: broker.settings.soBacklog }
  await supervisor?.whenOpen
  try {
    // All workers listen on one port by its number; nobody else is to have it, for where it is shared it may be shared with another broker, too.
    if (supervisor !== undefined)
      options.port = supervisor.portOf(at) ?? (supervisor.isFirst || port === 0 ? await freePort(options) : port)
    await listening(server, shared ? { ...options, reusePort: true } : options)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (optional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return false
    throw cannotListen(host, port, at, cause as NodeJS.ErrnoException)
  }
  server.on('error', error => broker.report(error))
  supervisor?.opened(at, (server.address() as AddressInfo).port)
  return true
}

function listening(server: Server, options: ListenOptions & { readonly reusePort?: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** The port, or for 0 one that the system chooses, where no other program has it; rejects where one has. */
async function freePort(options: ListenOptions): Promise<number> {
  const server = createServer()
  await listening(server, { ...options, exclusive: true })
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

function cannotListen(host: string, port: number, at: string, cause: NodeJS.ErrnoException): OperatorError {
  switch (cause.code) {
    case 'EADDRINUSE': {
      const text = `${at}.port: ${port} is in use on ${host}; stop the program that has it, or choose another with ${choice(at)}`
      return new OperatorError('ERR_PORT_IN_USE', text, { cause })
    }
    case 'EACCES':
      return forbidden(port, at, cause)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return noSuchHost(host, at, cause)
    default:
      return new OperatorError('ERR_LISTEN', `${at}: cannot listen on ${host}:${port}: ${cause.message}`, { cause })
  }
}

declare module '../../../core/error-codes.js' {
  interface ErrorCodes {
    /** Anybody could connect, and nobody said that this is meant: at a start with `requireAuthentication`, and where a program hands over connections of other machines. */
    ERR_UNGUARDED: true
    /** Another program listens on the port. */
    ERR_PORT_IN_USE: true
    /** The broker's user may not listen on the port: those below 1024 are the administrator's. */
    ERR_PORT_FORBIDDEN: true
    /** No interface of this machine has the address. */
    ERR_HOST: true
    /** The listener cannot listen, for a reason that the system gives. */
    ERR_LISTEN: true
  }
}
