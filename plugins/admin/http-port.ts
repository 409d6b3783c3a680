import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { PluginContext } from '../../core/context.ts'
import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { type ClientEvent, ClientLines } from '../kit/client-lines.ts'
import { ListenerTls } from '../kit/listening/listener-tls.ts'
import { openFiles } from '../kit/listening/open-files.ts'
import { closeServer, listenOn } from '../kit/listening/open-server.ts'
import { hostFault, keepShort, looksOften } from '../kit/listening/short-connections.ts'
import { verifyPlace } from '../kit/listening/verify-place.ts'
import { isLoopback } from '../kit/network.ts'
import { WatchedFile } from '../kit/watched-file.ts'
import type { adminManifest } from './manifest.ts'
import { answerRequest, send } from './requests.ts'
import { TokenCheck } from './token-check.ts'
import { parseTokens } from './token-file.ts'

type HttpOptions = OptionsOf<typeof adminManifest.options>['http']

const connectionsMax = 100
const tokenRefused: ClientEvent = { level: 'warn', text: 'an admin request was refused', who: 'address', about: 'reason' }

/** The admin routes over HTTP, for whoever has a token: never open, never without TLS where others can reach it. */
export class HttpPort {
  readonly #context: PluginContext
  readonly #options: HttpOptions
  readonly #tls: ListenerTls
  readonly #tokens: TokenCheck
  readonly #file: WatchedFile | null
  readonly #lines: ClientLines
  #server: Server | undefined

  constructor(context: PluginContext, options: HttpOptions) {
    const { broker, clock, log } = context
    this.#context = context
    this.#options = options
    this.#tls = new ListenerTls({ ...context, at: 'admin.http' }, options.tls)
    this.#tokens = new TokenCheck(clock)
    this.#lines = new ClientLines(clock, log)
    const { tokens: path, checkFileEvery: everyMs } = options
    const apply = (text: string, at: string): void => {
      const entries = parseTokens(text, at)
      if (entries.size === 0) throw open(`admin.http.tokens: ${at} holds no token`)
      this.#tokens.entries = entries
    }
    const failed = (error: Error): void => log.error({ err: error }, `the tokens have changed and are not taken up: ${error.message}`)
    this.#file =
      path === null ? null : new WatchedFile({ option: 'admin.http.tokens', path, folder: broker.folder, clock, everyMs, apply, failed })
  }

  /** Refuses what would be open to others. */
  async verify(): Promise<void> {
    const { host, port, tls } = this.#options
    if (this.#file === null) throw open('admin.http: it asks for no token')
    await this.#tls.verify()
    const hasTls = tls !== false && (tls !== null || (this.#context.services.find('tls')?.shared ?? null) !== null)
    if (!hasTls && !isLoopback(host))
      throw new OperatorError(
        'ERR_ADMIN_OPEN',
        `admin.http.host: on ${host} tokens would pass unencrypted; add ssl, or admin.http.tls: { cert, key }, or bind to 127.0.0.1 and put a proxy with TLS before it`,
      )
    await this.#file.verify()
    verifyPlace(this.#context.broker, host, port!, 'admin.http')
  }

  /** Opens the port; returns the line for the log. */
  async listen(): Promise<string> {
    const { broker } = this.#context
    const { host, port } = this.#options
    await this.#tls.start()
    await this.#file?.start()
    const { certificates } = this.#tls
    const answer = (request: IncomingMessage, response: ServerResponse): void => void this.#answer(request, response)
    const server =
      certificates === null
        ? createServer(looksOften, answer)
        : createSecureServer({ ...certificates.serverOptions(), ...looksOften, ALPNProtocols: ['http/1.1'] }, answer)
    certificates?.serve(server as never)
    server.maxConnections = Math.min(connectionsMax, Math.floor(openFiles().reserve / 4))
    keepShort(server, Math.floor(server.maxConnections / 2))
    await listenOn(broker, server, host, port!, 'admin.http')
    this.#server = server
    const { address, port: bound } = server.address() as AddressInfo
    return `admin at http${certificates === null ? '' : 's'}://${address.includes(':') ? `[${address}]` : address}:${bound}/v1/`
  }

  /** The port that it has; a test asks for a free one. */
  get port(): number {
    return (this.#server!.address() as AddressInfo).port
  }

  /** Reads certificates and tokens again. */
  async reread(): Promise<void> {
    await this.#tls.reread()
    await this.#file?.reread()
  }

  async stop(): Promise<void> {
    this.#tls.stop()
    this.#file?.stop()
    this.#lines.flush()
    this.#server?.closeAllConnections()
    if (this.#server !== undefined) await closeServer(this.#server)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const address = request.socket.remoteAddress ?? ''
    const refuse = (status: number, code: string, text: string): void => {
      this.#lines.say(tokenRefused, address, text)
      send(response, status, { error: { code, problems: [text] } })
    }
    // A page elsewhere that gives its own name this address would be of the same origin as what it reads here.
    const fault = hostFault(request.headers.host, this.#options.hosts, this.#options.host, 'admin.http.hosts')
    if (fault !== null) return refuse(421, 'ERR_ADMIN_HOST', `Host: ${fault}`)
    const { origin, authorization } = request.headers
    if (origin !== undefined && !this.#isOwnOrigin(origin, request.headers.host))
      return refuse(403, 'ERR_ADMIN_ORIGIN', 'Origin: not one of admin.http.origins')
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (token === undefined) {
      response.setHeader('WWW-Authenticate', 'Bearer')
      return refuse(401, 'ERR_ADMIN_TOKEN', 'no token; send Authorization: Bearer NAME.SECRET')
    }
    const found = await this.#tokens.check(token, address)
    if (typeof found === 'object')
      return answerRequest(
        this.#context.broker,
        { actor: { name: found.name, via: 'http', address, role: found.role }, role: found.role },
        request,
        response,
      )
    if (found === 'wrong') return refuse(401, 'ERR_ADMIN_TOKEN', 'this token is not one that counts')
    response.setHeader('Retry-After', '1')
    return refuse(
      429,
      'ERR_ADMIN_SLOWED',
      found === 'slowed' ? 'too many wrong tokens from this address' : 'too many tokens are being checked',
    )
  }

  #isOwnOrigin(origin: string, host: string | undefined): boolean {
    if (this.#options.origins.includes(origin)) return true
    return host !== undefined && origin === `http${this.#tls.certificates === null ? '' : 's'}://${host}`
  }
}

function open(what: string): OperatorError {
  return new OperatorError(
    'ERR_ADMIN_OPEN',
    `${what}, so anybody could steer the broker; write one by npx mqttx-broker token tokens NAME --role read, and say admin.http.tokens: tokens`,
  )
}
