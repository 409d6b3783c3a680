import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { Chromium } from '../support/chromium.ts'

/** A size that a view is looked at in. */
export interface Size {
  readonly name: string
  readonly width: number
  readonly height: number
  readonly mobile: boolean
}

/** The sizes that every view has to do with. */
export const sizes: readonly Size[] = [
  { name: 'desktop', width: 1440, height: 900, mobile: false },
  { name: 'phone', width: 390, height: 844, mobile: true },
]

const flags = ['--disable-component-update', '--disable-extensions', '--hide-scrollbars', '--remote-debugging-port=0']

/** One tab of a real Chromium, driven over its DevTools protocol. */
export class Browser {
  readonly #child: Chromium
  readonly #socket: WebSocket
  readonly #profile: string
  #session: string | undefined
  #lastId = 0
  readonly #waiting = new Map<number, { resolve(result: never): void; reject(error: Error): void }>()
  /** What the page complained of: exceptions, errors on the console, what the content security policy has blocked. */
  readonly complaints: string[] = []

  private constructor(child: Chromium, socket: WebSocket, profile: string) {
    this.#child = child
    this.#socket = socket
    this.#profile = profile
    socket.on('message', text => this.#heard(JSON.parse(String(text))))
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('chromium has gone'))
    })
  }

  static async start(): Promise<Browser> {
    const profile = await mkdtemp(join(tmpdir(), 'mqttx-chromium-'))
    let child!: Chromium
    const listening = new Promise<string>(resolve => {
      child = new Chromium(profile, [...flags, 'about:blank'], printed => {
        const found = /DevTools listening on (ws:\S+)/.exec(printed)?.[1]
        if (found !== undefined) resolve(found)
      })
    })
    const address = await Promise.race([listening, child.ended])
    const socket = new WebSocket(address, { maxPayload: 64 * 1024 * 1024 })
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    const browser = new Browser(child, socket, profile)
    const { targetId } = await browser.send<{ targetId: string }>('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await browser.send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true })
    browser.#session = sessionId
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.send(`${domain}.enable`)
    return browser
  }

  async stop(): Promise<void> {
    this.#socket.terminate()
    await this.#child.stop()
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 })
  }

  send<R>(method: string, params: object = {}): Promise<R> {
    const id = ++this.#lastId
    this.#socket.send(JSON.stringify({ id, method, params, ...(this.#session === undefined ? {} : { sessionId: this.#session }) }))
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  /** Opens an address, even if only what stands behind # differs from before. */
  async open(url: string): Promise<void> {
    await this.send('Page.navigate', { url: 'about:blank' })
    await this.send('Page.navigate', { url })
  }

  /** What an expression comes to in the page. */
  async evaluate<R>(expression: string): Promise<R> {
    const { result, exceptionDetails } = await this.send<{
      result: { value: R }
      exceptionDetails?: { text: string; exception?: { description?: string } }
    }>('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }

  /** Resolves as soon as an expression comes to something true in the page; fails with what the page says otherwise. */
  async until(expression: string, withinMs = 30_000): Promise<void> {
    const end = Date.now() + withinMs
    const look = `new Promise(done => { const look = left => { let is = false; try { is = ${expression} } catch {}; is || left === 0 ? done(!!is) : setTimeout(look, 20, left - 1) }; look(50) })`
    for (;;) {
      // While another address is opened there is no page to ask.
      if (await this.evaluate<boolean>(look).catch(() => false)) return
      if (Date.now() > end) throw new Error(`not so in the page: ${expression}\n${await this.evaluate<string>('document.body.innerText')}`)
    }
  }

  async look({ width, height, mobile }: Size, theme: 'light' | 'dark'): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, mobile, deviceScaleFactor: 1 })
    await this.send('Emulation.setEmulatedMedia', {
      features: [
        { name: 'prefers-color-scheme', value: theme },
        { name: 'prefers-reduced-motion', value: 'reduce' },
      ],
    })
  }

  async picture(format: 'png' | 'webp'): Promise<Buffer> {
    const { data } = await this.send<{ data: string }>('Page.captureScreenshot', { format, ...(format === 'webp' ? { quality: 74 } : {}) })
    return Buffer.from(data, 'base64')
  }

  #heard(message: {
    readonly id?: number
    readonly result?: never
    readonly error?: { readonly message: string }
    readonly method?: string
    readonly params?: {
      readonly exceptionDetails?: { readonly text: string; readonly exception?: { readonly description?: string } }
      readonly entry?: { readonly level: string; readonly text: string; readonly url?: string }
      readonly type?: string
      readonly args?: readonly { readonly value?: unknown; readonly description?: string }[]
    }
  }): void {
    const { id, result, error, method, params = {} } = message
    if (id !== undefined) {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(result!)
      else waiting?.reject(new Error(error.message))
    } else if (method === 'Runtime.exceptionThrown')
      this.complaints.push(params.exceptionDetails?.exception?.description ?? params.exceptionDetails?.text ?? 'an exception')
    else if (method === 'Log.entryAdded' && params.entry?.level === 'error')
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`)
    else if (method === 'Runtime.consoleAPICalled' && (params.type === 'error' || params.type === 'warning'))
      this.complaints.push(params.args?.map(({ value, description }) => String(value ?? description)).join(' ') ?? '')
  }
}
