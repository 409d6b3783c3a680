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
import { PageFiles } from './page-files.ts'
import { type PageSession, PageSessions } from './page-sessions.ts'
import { answerRequest, jsonOf, refusalOf, send } from './requests.ts'
import { TokenCheck } from './token-check.ts'
import { parseTokens } from './token-file.ts'

type HttpOptions = OptionsOf<typeof adminManifest.options>['http']

const connectionsMax = 100
const pagePort = 9465
const sessionPath = '/v1/session'
// Who sends it has shown nothing yet.
const sessionBodyMax = 1024
const tokenRefused: ClientEvent = { level: 'warn', text: 'an admin request was refused', who: 'address', about: 'reason' }

/** The admin routes over HTTP, for whoever has a token: never open, never without TLS where others can reach it. */
export class HttpPort {
  readonly #context: PluginContext
  readonly #options: HttpOptions
  readonly #tls: ListenerTls
  readonly #tokens: TokenCheck
  readonly #file: WatchedFile | null
  readonly #lines: ClientLines
  readonly #page: { readonly files: PageFiles; readonly sessions: PageSessions } | null
  #server: Server | undefined

  /** `page`: the page is served, too. */
  constructor(context: PluginContext, options: HttpOptions, page: boolean) {
    const { broker, clock, log } = context
    this.#context = context
    this.#options = options
    this.#tls = new ListenerTls({ ...context, at: 'admin.http' }, options.tls)
    this.#tokens = new TokenCheck(clock)
    this.#lines = new ClientLines(clock, log)
    this.#page = page ? { files: new PageFiles(), sessions: new PageSessions(clock) } : null
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
    const { host, tls } = this.#options
    // Without a file nobody comes in but by addresses that are good once.
    if (this.#file === null && this.#page === null) throw open('admin.http: it asks for no token')
    await this.#page?.files.load()
    await this.#tls.verify()
    const hasTls = tls !== false && (tls !== null || (this.#context.services.find('tls')?.shared ?? null) !== null)
    if (!hasTls && !isLoopback(host))
      throw new OperatorError(
        'ERR_ADMIN_OPEN',
        `admin.http.host: on ${host} tokens would pass unencrypted; add ssl, or admin.http.tls: { cert, key }, or bind to 127.0.0.1 and put a proxy with TLS before it`,
      )
    await this.#file?.verify()
    verifyPlace(this.#context.broker, host, this.#wantedPort, 'admin.http')
  }

  /** Opens the port; returns the line for the log. */
  async listen(): Promise<string> {
    const { broker } = this.#context
    const { host } = this.#options
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
    await listenOn(broker, server, host, this.#wantedPort, 'admin.http')
    this.#server = server
    const at = this.#origin
    return this.#page === null ? `admin at ${at}/v1/` : `admin at ${at}/v1/, its page at ${at}/ (npx mqttx-broker page lets you in)`
  }

  get #wantedPort(): number {
    return this.#options.port ?? pagePort
  }

  get #origin(): string {
    const { address, port } = this.#server!.address() as AddressInfo
    return `http${this.#tls.certificates === null ? '' : 's'}://${address.includes(':') ? `[${address}]` : address}:${port}`
  }

  /** An address of the page that lets in whoever opens it first. Throws an `OperatorError` where there is no page. */
  entrance(session: PageSession): { readonly url: string; readonly expiresAt: number } {
    if (this.#page === null || this.#server === undefined)
      throw new OperatorError('ERR_ADMIN_PAGE', 'page: this broker serves no page; set admin.page: true, or start it with --ui')
    const { token, expiresAt } = this.#page.sessions.offer(session)
    // What stands behind # is sent to no server, and in no Referer.
    return { url: `${this.#origin}/#enter=${token}`, expiresAt }
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
    if (this.#page?.files.answer(request, response) === true) return
    if (this.#page !== null && request.url === sessionPath && request.method === 'POST')
      return this.#enter(this.#page.sessions, request, response, text => refuse(401, 'ERR_ADMIN_TOKEN', text))
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (token === undefined) {
      response.setHeader('WWW-Authenticate', 'Bearer')
      return refuse(401, 'ERR_ADMIN_TOKEN', 'no token; send Authorization: Bearer NAME.SECRET')
    }
    if (request.url === sessionPath && request.method === 'DELETE')
      return send(response, 200, { ended: this.#page?.sessions.end(token) ?? false })
    const found = this.#page?.sessions.find(token) ?? (await this.#tokens.check(token, address))
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

  // A token that is good once is used up, and the session's own takes its place.
  async #enter(sessions: PageSessions, request: IncomingMessage, response: ServerResponse, refuse: (text: string) => void): Promise<void> {
    let given: { readonly token?: unknown }
    try {
      given = await jsonOf(request, sessionPath, sessionBodyMax)
    } catch (error) {
      const { status, body } = refusalOf(error)
      return send(response, status, body)
    }
    const entered = typeof given.token === 'string' ? sessions.enter(given.token) : null
    if (entered === null)
      return refuse('this address of the page was used, or is older than ten minutes; npx mqttx-broker page prints another')
    const { token, session } = entered
    const { name, role } = session
    this.#context.log.info({ actor: name, role, address: request.socket.remoteAddress }, 'somebody has entered the page')
    send(response, 200, { token, name, role })
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
