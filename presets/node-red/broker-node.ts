import type { Clock, Config, PluginContext, RunningBroker, Timer } from '../index.ts'
import { configOf, type EditorFields, FieldError } from './editor-fields.ts'
import { type EventReceiver, tapEvents } from './event-messages.ts'
import type { NodeRed, RedNode, TlsConfigNode } from './red.ts'
import type { Parts } from './start-broker.ts'

// The editor is told of the number of clients no more often.
const statusMs = 250
const statusTextMax = 60

/** One node of a flow, and the broker that it runs from deploy to deploy. */
export class BrokerNode implements EventReceiver {
  readonly #red: NodeRed
  readonly #node: RedNode
  readonly #fields: EditorFields
  #running: RunningBroker | null = null
  #clients = 0
  #isClosing = false
  #clock: Clock | null = null
  #statusTimer: Timer | null = null

  constructor(red: NodeRed, node: RedNode, fields: EditorFields) {
    this.#red = red
    this.#node = node
    this.#fields = fields
  }

  /** Starts the broker. What goes wrong is said by the node, and stops nobody else. */
  open(): void {
    this.#node.status({ fill: 'yellow', shape: 'ring', text: 'starting' })
    const opened = this.#start().catch(error => this.#failed(error))
    this.#node.on('close', (_removed, done) => {
      this.#isClosing = true
      opened.then(() => this.#stop()).then(done, done)
    })
  }

  event(topic: string, payload: object): void {
    this.#send([{ topic, payload }, null])
  }

  get wantsPublishes(): boolean {
    return (this.#node.wires?.[1]?.length ?? 0) > 0
  }

  publish(payload: object): void {
    this.#send([null, { topic: 'publish', payload }])
  }

  connected(count: number): void {
    this.#clients = count
    if (this.#isClosing || this.#statusTimer !== null) return
    this.#statusTimer = this.#clock!.after(statusMs, () => {
      this.#statusTimer = null
      this.#showClients()
    })
  }

  // A node that closes has no business with the others any more.
  #send(messages: readonly (object | null)[]): void {
    if (!this.#isClosing) this.#node.send(messages)
  }

  async #start(): Promise<void> {
    const config = configOf(this.#fields, this.#node.id)
    const parts = this.#parts()
    const { startBroker } = await import('./start-broker.ts')
    const running = await startBroker(this.#node, this.#withEvents(config), parts)
    this.#running = running
    const { websocket, websocketPath = '' } = this.#fields
    if (websocket === 'path') await running.attach(this.#red.server, { path: this.#pathOnServer(websocketPath) })
    this.#showClients()
  }

  /** The taps are there before the first client can be. */
  #withEvents(config: Config): Config {
    const events = {
      name: 'nodeRed',
      apply: ({ hooks, broker, clock }: PluginContext) => {
        this.#clock = clock
        tapEvents(hooks, broker, this)
      },
    }
    return { ...config, plugins: [events, ...(config.plugins ?? [])] }
  }

  #parts(): Parts {
    const { access, tls = '' } = this.#fields
    const { username = '', password = '' } = this.#node.credentials ?? {}
    if (access === 'password' && (username === '' || password === ''))
      throw new FieldError('Clients: a user name and a password are needed; write both, or choose who else may connect')
    const tlsNode = tls === '' ? null : (this.#red.nodes.getNode(tls) as TlsConfigNode | null | undefined)
    if (tlsNode === undefined || (tls !== '' && tlsNode === null))
      throw new FieldError('TLS: the TLS configuration is not there; choose another one, or none')
    return {
      folder: this.#red.settings.userDir ?? process.cwd(),
      user: access === 'password' ? { username, password } : null,
      tls: tlsNode,
    }
  }

  #pathOnServer(path: string): string {
    const root = this.#red.settings.httpNodeRoot || '/'
    return `/${root}/${path}`.replace(/\/+/g, '/')
  }

  #showClients(): void {
    if (this.#running === null || this.#isClosing) return
    const count = this.#clients
    this.#node.status({ fill: 'green', shape: 'dot', text: count === 1 ? '1 client' : `${count} clients` })
  }

  async #failed(error: unknown): Promise<void> {
    const { message, code } = error as { message: string; code?: string }
    await this.#running?.stop()
    this.#running = null
    if (this.#isClosing) return
    const first = message.split('\n', 1)[0]!
    const text = first.length > statusTextMax ? `${first.slice(0, statusTextMax - 1)}…` : first
    this.#node.status({ fill: 'red', shape: 'ring', text })
    this.#node.error(message, { topic: 'error', payload: { code, message } })
  }

  async #stop(): Promise<void> {
    this.#statusTimer?.cancel()
    await this.#running?.stop()
    this.#running = null
    this.#node.status({})
  }
}
