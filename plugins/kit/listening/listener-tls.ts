import type { PluginContext } from '../../../core/context.ts'
import { OperatorError } from '../../../core/errors.ts'
import { checkOptions } from '../options/validation.ts'
import type { OwnCertificates, ServerCertificates } from '../services/tls.ts'
import { type ListenerTlsOption, sslOptions, type TlsOptions } from './tls-options.ts'

/** The TLS of one listener: the `ssl` section's, its own, or none. */
export class ListenerTls {
  readonly #context: PluginContext
  readonly #option: ListenerTlsOption
  readonly #ownOptions: TlsOptions | null
  #own: OwnCertificates | null

  constructor(context: PluginContext, option: ListenerTlsOption) {
    this.#context = context
    this.#option = option
    // Within an option of several forms nobody has filled in the defaults.
    this.#ownOptions =
      typeof option === 'object' && option !== null ? (checkOptions(sslOptions, option, `${context.at}.tls`) as TlsOptions) : null
    this.#own = null
  }

  /** Reads and checks the listener's own certificates; those of `ssl` are read by themselves. Rejects with an `OperatorError` that names the cure. */
  async verify(): Promise<void> {
    const { at, services } = this.#context
    if (this.#ownOptions !== null) {
      this.#own ??= services.get('tls').own(this.#ownOptions, `${at}.tls`)
      await this.#own.verify()
    } else if (this.#option === true && (services.find('tls')?.shared ?? null) === null) {
      const text = `${at}.tls: there is no certificate; add ssl: { cert, key }, or say them here: ${at}.tls: { cert, key }`
      throw new OperatorError('ERR_TLS_OPTIONS', text)
    }
  }

  /** Begins to watch the files of the listener's own certificates. */
  async start(): Promise<void> {
    if (this.#ownOptions !== null && this.#own === null) await this.verify()
    await this.#own?.start()
  }

  /** The certificates to serve; `null`: this listener is plain. */
  get certificates(): ServerCertificates | null {
    if (this.#own !== null) return this.#own
    return this.#option === false ? null : (this.#context.services.find('tls')?.shared ?? null)
  }

  /** Reads the listener's own certificates again. */
  async reread(): Promise<void> {
    await this.#own?.reread()
  }

  /** Watches the files no more. */
  stop(): void {
    this.#own?.stop()
  }
}

/** The option `tls` of a listener: at a Unix socket or a named pipe there is no TLS, and an `OperatorError` where it is asked for. `at`: where its options stand. */
export function tlsAtPath(option: ListenerTlsOption, socketPath: string | null, at: string): ListenerTlsOption {
  if (socketPath === null) return option
  if (option === null || option === false) return false
  throw new OperatorError(
    'ERR_TLS_OPTIONS',
    `${at}.tls: there is no TLS at ${at}.socketPath, which nobody can listen in on; leave tls out there`,
  )
}
