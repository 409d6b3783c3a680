import { constants, randomBytes, type X509Certificate } from 'node:crypto'
import {
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type TlsOptions as ServerOptions,
  type TLSSocket,
} from 'node:tls'
import type { Client } from '../../core/connection/client.ts'
import type { PeerCertificate } from '../../core/connection/transport.ts'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Clock } from '../../core/time/clock.ts'
import { FileWatch } from '../kit/file-watch.ts'
import type { TlsOptions } from '../kit/listening/tls-options.ts'
import type { Judged, OwnCertificates, RenewableServer } from '../kit/services/tls.ts'
import { WatchedFile } from '../kit/watched-file.ts'
import { expiresSoon } from './check-certificate.ts'
import { isIssuedBy, readCas } from './client-cas.ts'
import { type Identity, nameOf, readIdentity } from './identity.ts'
import { peerCertificateOf } from './peer-certificate.ts'
import { readCaPem } from './pem-files.ts'
import { ciphersFor, parsePskFile, type SharedKeys } from './psk-file.ts'
import { type RevokedCertificates, readRevocationLists, revocationKeys } from './revocation-list.ts'

/** What TLS contexts need of the broker. */
export interface TlsSurroundings {
  /** The folder that the files' paths are relative to. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Log
  /** Who is connected, by whatever listener. */
  readonly clients: Iterable<Client>
  /** Of a broker with several workers: 48 bytes that are the same in all of them for the same text. Null: there is one. */
  readonly sharedKeys: ((of: string) => Buffer) | null
}

type ChosenContext = (error: Error | null, context?: SecureContext) => void

interface Named {
  readonly names: readonly string[]
  readonly certificate: X509Certificate
  readonly context: SecureContext
}

/**
 * The certificates of one `ssl` section, for all servers that use it: read and checked at start, read again when the files change
 * or on SIGHUP. Connections go on with what they began with; what is wrong with a renewed file is logged, and the old one stays.
 */
export class TlsContexts implements OwnCertificates {
  readonly options: TlsOptions
  readonly #at: string
  readonly #surroundings: TlsSurroundings
  readonly #servers = new Set<RenewableServer>()
  #main: SecureContextOptions = {}
  #mainCertificate: X509Certificate | null = null
  #named: readonly Named[] = []
  #ticketKeys: Buffer = randomBytes(48)
  #anchors: readonly X509Certificate[] | null = null
  readonly #watch: FileWatch
  #reading: Promise<void> | null = null
  #isRead = false
  readonly #revocations: WatchedFile | null
  #revoked: RevokedCertificates = new Set()
  readonly #sharedKeys: WatchedFile | null
  #keys: SharedKeys = new Map()
  // Who has named itself in a handshake that goes on, or has come to its end.
  readonly #identities = new WeakMap<TLSSocket, string>()
  // What the certificates of clients may be revoked by.
  readonly #revocationKeys = new WeakMap<PeerCertificate, readonly string[]>()

  /** `at` is where the options stand: `ssl`, `socket[1].tls`. */
  constructor(options: TlsOptions, at: string, surroundings: TlsSurroundings) {
    this.options = options
    this.#at = at
    this.#surroundings = surroundings
    this.#watch = new FileWatch(surroundings.clock, () => this.#readAgain())
    const { crl, checkFilesEvery } = options
    const { folder, clock, log } = surroundings
    this.#revocations =
      crl === null
        ? null
        : new WatchedFile({
            option: `${at}.crl`,
            path: crl,
            folder,
            clock,
            everyMs: checkFilesEvery,
            apply: (text, path) => this.#revoke(readRevocationLists(text, `${at}.crl`, path)),
            failed: error => log.error({ err: error }, `the revoked certificates have changed and are not taken up: ${error.message}`),
          })
    this.#sharedKeys =
      options.pskFile === null
        ? null
        : new WatchedFile({
            option: `${at}.pskFile`,
            path: options.pskFile,
            folder,
            clock,
            everyMs: checkFilesEvery,
            apply: (text, path) => this.#take(parsePskFile(text, `${at}.pskFile`, path)),
            failed: error => log.error({ err: error }, `the shared keys have changed and are not taken up: ${error.message}`),
          })
  }

  /** Reads and checks everything; what is wrong is an `OperatorError`. */
  async verify(): Promise<void> {
    await this.#read()
    await this.#revocations?.verify()
    await this.#sharedKeys?.verify()
    this.#isRead = true
  }

  /** Begins to watch the files, which are read first where `verify` has not done so. */
  async start(): Promise<void> {
    if (!this.#isRead) await this.verify()
    await this.#revocations?.start()
    await this.#sharedKeys?.start()
    this.#warnOfExpiry()
    this.#watch.start(this.options.checkFilesEvery)
  }

  stop(): void {
    this.#watch.stop()
    this.#revocations?.stop()
    this.#sharedKeys?.stop()
    this.#servers.clear()
  }

  /** What a server is made with. Give the server to `serve` then. */
  serverOptions(): ServerOptions {
    const { clientAuth, certificates, pskHint } = this.options
    return {
      ...this.#main,
      ...(this.#sharedKeys === null ? {} : { pskCallback: (socket, identity) => this.#keyOf(socket, identity) }),
      ...(pskHint === null ? {} : { pskIdentityHint: pskHint }),
      requestCert: clientAuth !== false,
      rejectUnauthorized: clientAuth === true,
      // Where there is no choice nobody is asked: each question stops the handshake for a turn.
      ...(certificates.length > 0 ? { SNICallback: (name: string, done: ChosenContext) => done(null, this.#contextFor(name)) } : {}),
    }
  }

  /**
   * What the certificate of a client says, once its handshake is done. `refused`: why it must not come in. OpenSSL has checked the
   * chain; what is left is to say whether that is enough.
   */
  judge(socket: TLSSocket): Judged {
    const pskIdentity = this.#identityOf(socket)
    if (pskIdentity !== undefined) return { pskIdentity, username: this.options.usernameFrom === 'connect' ? undefined : pskIdentity }
    if (this.options.clientAuth === false) return {}
    const shown = socket.getPeerX509Certificate()
    if (shown === undefined) return this.options.clientAuth === true ? { refused: 'it showed no certificate' } : {}
    const certificate = peerCertificateOf(shown, true)
    // A resumed session was checked when it began.
    if (certificate.validTo < Date.now()) return { refused: `its certificate ${certificate.subject} has expired` }
    if (!socket.authorized) return { refused: `its certificate ${certificate.subject} is not accepted: ${socket.authorizationError}` }
    if (this.#anchors !== null && !isIssuedBy(shown, this.#anchors))
      return { refused: `its certificate ${certificate.subject} is not from ${this.#at}.ca` }
    if (this.#revocations !== null) {
      const keys = revocationKeys(shown)
      if (keys.some(key => this.#revoked.has(key))) return { refused: `its certificate ${certificate.subject} has been revoked` }
      this.#revocationKeys.set(certificate, keys)
    }
    return { certificate }
  }

  #keyOf(socket: TLSSocket, identity: string): Buffer | null {
    const key = this.#keys.get(identity)
    if (key === undefined) return null
    this.#identities.set(socket, identity)
    return key
  }

  /** Who has shaken hands by a shared key; `undefined`: it was a certificate that counted. */
  #identityOf(socket: TLSSocket): string | undefined {
    const identity = this.#identities.get(socket)
    return identity !== undefined && /PSK/.test(socket.getCipher().name) ? identity : undefined
  }

  /** Whoever is connected by a key that has been taken out, or is another one now, is closed. Its session stays for its user. */
  #take(keys: SharedKeys): void {
    const before = this.#keys
    this.#keys = keys
    if (before.size === 0) return
    let closed = 0
    for (const client of [...this.#surroundings.clients]) {
      const { pskIdentity } = client.transport
      const known = pskIdentity === undefined ? undefined : before.get(pskIdentity)
      if (known === undefined || keys.get(pskIdentity!)?.equals(known) === true) continue
      closed += 1
      client.close(ReasonCode.NotAuthorized, 'its shared key is no longer valid')
    }
    this.#surroundings.log.info({ identities: keys.size, closed }, `${this.#at}.pskFile: shared keys read`)
  }

  /** These certificates are accepted no longer; whoever is connected by one of them is closed. Its session stays for its user. */
  #revoke(revoked: RevokedCertificates): void {
    this.#revoked = revoked
    let closed = 0
    for (const client of [...this.#surroundings.clients]) {
      const { peerCertificate } = client.transport
      const keys = peerCertificate === undefined ? undefined : this.#revocationKeys.get(peerCertificate)
      if (keys?.some(key => revoked.has(key)) !== true) continue
      closed += 1
      client.close(ReasonCode.NotAuthorized, 'its certificate has been revoked')
    }
    this.#surroundings.log.info({ revoked: revoked.size, closed }, `${this.#at}.crl: revoked certificates read`)
  }

  /** The user name that a certificate stands for, where `usernameFrom` says so. */
  usernameOf(certificate: PeerCertificate): string | undefined {
    const { usernameFrom } = this.options
    return usernameFrom === 'connect' ? undefined : usernameFrom === 'subject' ? certificate.subject : certificate.commonName
  }

  /** From here on the server gets what is renewed. */
  serve(server: RenewableServer): void {
    this.#servers.add(server)
  }

  /** Reads the files again, whether they look changed or not. */
  async reread(): Promise<void> {
    await this.#readAgain()
    await this.#revocations?.reread()
    await this.#sharedKeys?.reread()
  }

  async #readAgain(): Promise<void> {
    this.#reading ??= this.#renew().finally(() => {
      this.#reading = null
    })
    await this.#reading
  }

  async #renew(): Promise<void> {
    const { log } = this.#surroundings
    try {
      await this.#read()
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      log.error(`${text}; until then the certificate from before stays`)
      return
    }
    for (const server of this.#servers) server.setSecureContext(this.#main)
    log.info(
      `${this.#at}: new connections get the certificate ${this.#mainCertificate?.subject.split('\n').at(-1)}, valid to ${this.#mainCertificate?.validTo}`,
    )
    this.#warnOfExpiry()
  }

  /** The certificates that are served now. */
  get certificates(): readonly X509Certificate[] {
    return [this.#mainCertificate, ...this.#named.map(one => one.certificate)].filter(certificate => certificate !== null)
  }

  /** Where their options stand. */
  get at(): string {
    return this.#at
  }

  #warnOfExpiry(): void {
    for (const certificate of this.certificates) {
      const warning = expiresSoon(certificate)
      if (warning !== undefined) this.#surroundings.log.warn(`${this.#at}: ${warning}`)
    }
  }

  /** The context for a host that a client names: what the config says of it, else what the certificates say; `undefined` is the first one. */
  #contextFor(name: string): SecureContext | undefined {
    if (this.#named.length === 0) return undefined
    const named = this.#named.find(({ names }) => names.some(pattern => isFor(pattern, name)))
    if (named !== undefined) return named.context
    if (this.#mainCertificate?.checkHost(name) !== undefined) return undefined
    return this.#named.find(({ names, certificate }) => names.length === 0 && certificate.checkHost(name) !== undefined)?.context
  }

  async #read(): Promise<void> {
    const { options } = this
    const at = this.#at
    const { folder } = this.#surroundings
    if (options.crl !== null && options.clientAuth === false)
      throw new OperatorError('ERR_TLS_CLIENT_AUTH', `${at}.crl: clients are not asked for a certificate; say ${at}.clientAuth: true`)
    const isPskOnly = options.pskFile !== null && options.cert === null && options.key === null && options.keyStoreLocation === null
    if (options.pskFile !== null && options.minVersion === 'TLSv1.3') {
      throw new OperatorError('ERR_TLS_OPTIONS', `${at}.pskFile: shared keys are for TLS 1.2; leave ${at}.minVersion out there`)
    }
    const identity = isPskOnly ? null : await readIdentity(options, at, folder)
    const further = await Promise.all(
      options.certificates.map(async (one, index) => ({
        names: one.names ?? [],
        identity: await readIdentity(one, `${at}.certificates[${index}]`, folder),
      })),
    )
    const caFile = options.ca === null ? null : await readCaPem(`${at}.ca`, options.ca, folder)
    const cas = caFile === null ? [] : readCas(caFile)
    const ca = cas.map(certificate => certificate.toString())
    if (options.clientAuth !== false && ca.length === 0 && identity?.hasCa !== true) {
      const cure = `name their CA's certificate: ${at}.ca`
      throw new OperatorError('ERR_TLS_CLIENT_AUTH', `${at}.clientAuth: nobody could vouch for clients; ${cure}`)
    }
    if (options.usernameFrom !== 'connect' && options.clientAuth === false && options.pskFile === null) {
      throw new OperatorError(
        'ERR_TLS_CLIENT_AUTH',
        `${at}.usernameFrom: clients are not asked for a certificate; say ${at}.clientAuth: true`,
      )
    }
    // Whoever was let in by a CA that is not trusted any more must not come back by a resumed session.
    const ticketKeys = this.#newTicketKeys(ca)
    const main = this.#secure(identity, ca, ticketKeys)
    this.#createContext(main, identity)
    const named = further.map(({ names, identity: one }) => {
      const context = this.#createContext(this.#secure(one, ca, ticketKeys), one)
      return { names, certificate: one.certificate, context }
    })
    const files = [identity, ...further.map(one => one.identity)].flatMap(one => one?.files ?? [])
    this.#watch.saw(caFile === null ? files : [...files, caFile])
    this.#ticketKeys = ticketKeys
    this.#main = main
    this.#anchors = cas.length > 0 && 'pfx' in main ? cas : null
    this.#mainCertificate = identity?.certificate ?? null
    this.#named = named
  }

  #newTicketKeys(ca: readonly string[]): Buffer {
    const { sharedKeys } = this.#surroundings
    // Whoever is trusted is in the text, so that a worker that comes later has the keys that the others have by then.
    if (sharedKeys !== null) return sharedKeys(JSON.stringify([this.#at, this.options.clientAuth === false ? [] : ca]))
    return this.#mainCertificate !== null && this.options.clientAuth !== false ? randomBytes(48) : this.#ticketKeys
  }

  #secure(identity: Identity | null, ca: readonly string[], ticketKeys: Buffer): SecureContextOptions {
    const { minVersion, sessionTimeout, pskFile } = this.options
    const ciphers = this.options.ciphers ?? (pskFile === null ? null : ciphersFor(identity !== null))
    // Whoever resumes a session names no identity, so that nobody could say who it is; and TLS 1.3 has other keys.
    const noTickets = sessionTimeout === 0 || pskFile !== null
    return {
      ...identity?.secure,
      // Without a list, if only an empty one, Node would let every public CA vouch for clients.
      ca: [...ca],
      minVersion,
      ...(pskFile === null ? {} : { maxVersion: 'TLSv1.2' }),
      ticketKeys,
      // Sessions are this section's, whichever of its servers and certificates they began with.
      sessionIdContext: 'mqttx-broker',
      // Node counts in seconds and takes 0 for its default; that no tickets are given is said by an option of OpenSSL's.
      sessionTimeout: Math.max(1, Math.ceil(sessionTimeout / 1000)),
      honorCipherOrder: true,
      // A client that negotiates again and again costs much and gains nothing.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (noTickets ? constants.SSL_OP_NO_TICKET : 0),
      ...(ciphers === null ? {} : { ciphers }),
    }
  }

  #createContext(secure: SecureContextOptions, identity: Identity | null): SecureContext {
    try {
      return createSecureContext(secure)
    } catch (cause) {
      const { message } = cause as Error
      const at = this.#at
      const name = identity === null ? 'for shared keys' : nameOf(identity)
      if (/cipher/i.test(message)) {
        throw new OperatorError('ERR_TLS_CIPHERS', `${at}.ciphers: OpenSSL knows none of them; openssl ciphers lists those that it knows`, {
          cause,
        })
      }
      if (/too small|too weak/i.test(message)) {
        throw new OperatorError('ERR_TLS_WEAK', `${at}: the certificate ${name} is weak (${message}); have it issued anew`, {
          cause,
        })
      }
      throw new OperatorError('ERR_TLS', `${at}: the certificate ${name} cannot be used (${message}); name another`, { cause })
    }
  }
}

function isFor(pattern: string, name: string): boolean {
  const [wanted, given] = [pattern.toLowerCase(), name.toLowerCase()]
  if (!wanted.startsWith('*.')) return wanted === given
  return given.indexOf('.') > 0 && given.slice(given.indexOf('.')) === wanted.slice(1)
}
