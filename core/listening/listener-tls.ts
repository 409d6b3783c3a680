import { checkOptions } from '../config/validation.ts'
import type { PluginContext } from '../context.ts'
import { OperatorError } from '../errors.ts'
import { sslOptions, type TlsInput, type TlsOptions } from '../tls/options.ts'
import { TlsContexts } from '../tls/tls-contexts.ts'

/** What a listener's option `tls` may be: as `ssl` says, on, off, or its own. */
export type ListenerTlsOption = boolean | Readonly<TlsInput> | null

/** The TLS of one listener: the `ssl` section's, its own, or none. */
export class ListenerTls {
  readonly #context: PluginContext
  readonly #option: ListenerTlsOption
  readonly #own: TlsContexts | null

  constructor(context: PluginContext, option: ListenerTlsOption) {
    this.#context = context
    this.#option = option
    if (typeof option === 'object' && option !== null) {
      const { broker, clock, log } = context
      const at = `${context.at}.tls`
      // Within an option of several forms nobody has filled in the defaults.
      const options = checkOptions(sslOptions, option, at) as TlsOptions
      this.#own = new TlsContexts(options, at, { folder: broker.folder, clock, log })
    } else this.#own = null
  }

  /** Reads the listener's own certificates; those of `ssl` are read by themselves. */
  async start(): Promise<void> {
    if (this.#option === true && !this.#context.services.has('tls')) {
      const { at } = this.#context
      const text = `${at}.tls: there is no certificate; add ssl: { cert, key }, or say them here: ${at}.tls: { cert, key }`
      throw new OperatorError('ERR_TLS_OPTIONS', text)
    }
    await this.#own?.start()
  }

  /** The certificates to serve; `null`: this listener is plain. */
  get contexts(): TlsContexts | null {
    if (this.#own !== null) return this.#own
    return this.#option === false ? null : (this.#context.services.find('tls') ?? null)
  }

  async reread(): Promise<void> {
    await this.#own?.reread()
  }

  stop(): void {
    this.#own?.stop()
  }
}
