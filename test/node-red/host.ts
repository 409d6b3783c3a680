import { EventEmitter, once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import registerNode, { type EditorFields, type EventMessage, type NodeRed, type RedNode } from '../../presets/node-red/index.ts'
import { folderWith } from '../config/folder.ts'

type Make = (this: RedNode, fields: EditorFields) => void

/** A node as Node-RED would make it, with what it has said. */
export class HostedNode extends EventEmitter implements RedNode {
  readonly id: string
  wires: string[][] = [['events'], []]
  readonly credentials: { username?: string; password?: string } | undefined
  readonly sent: (EventMessage | null)[][] = []
  readonly statuses: { fill?: string; shape?: string; text?: string }[] = []
  readonly errors: { text: string; message: object | undefined }[] = []
  readonly lines: string[] = []

  constructor(id: string, credentials?: { username?: string; password?: string }) {
    super()
    this.id = id
    this.credentials = credentials
  }

  send(messages: readonly (object | null)[]): void {
    this.sent.push(messages as (EventMessage | null)[])
    this.emit('said')
  }

  status(status: { fill?: string; shape?: string; text?: string }): void {
    this.statuses.push(status)
    this.emit('said')
  }

  error(text: string, message?: object): void {
    this.errors.push({ text, message })
    this.emit('said')
  }

  warn(text: string): void {
    this.lines.push(`warn ${text}`)
  }

  log(text: string): void {
    this.lines.push(`info ${text}`)
  }

  /** The status that it shows now. */
  get shown(): string {
    const { fill, text } = this.statuses.at(-1) ?? {}
    return `${fill} ${text}`
  }

  /** Waits until it has said something after which that holds. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await once(this, 'said')
  }

  /** What Node-RED does before a deploy; resolves when the node has given everything back. */
  close(): Promise<void> {
    return new Promise(resolve => this.emit('close', false, resolve))
  }
}

/**
 * As much of Node-RED as the node uses: five functions, a server and a folder. The runtime itself is 128 packages and 43 MB, all of Node-RED 117 MB, too much for what every `npm ci` installs;
 * `npm run test:node-red` has whole ones.
 */
export class Host implements NodeRed {
  readonly server: Server
  readonly settings: { readonly userDir: string; readonly httpNodeRoot: string }
  readonly configNodes = new Map<string, object>()
  #make: Make = () => {}

  private constructor(server: Server, userDir: string) {
    this.server = server
    this.settings = { userDir, httpNodeRoot: '/red' }
  }

  static async start(): Promise<Host> {
    const server = createServer((_request, response) => void response.writeHead(404).end())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const host = new Host(server, await folderWith())
    registerNode(host)
    return host
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  readonly nodes = {
    createNode: (): void => {},
    getNode: (id: string): unknown => this.configNodes.get(id) ?? null,
    registerType: (name: string, make: Make): void => {
      if (name === 'mqttx-broker') this.#make = make
    },
  }

  /** Deploys one node, which ends with the test. */
  deploy(fields: EditorFields, credentials?: { username?: string; password?: string }, id = 'node-1'): HostedNode {
    const node = new HostedNode(id, credentials)
    onTestFinished(() => node.close())
    this.#make.call(node, { preset: 'test', ...fields })
    return node
  }

  /** The same, when it serves. */
  async serve(fields: EditorFields, credentials?: { username?: string; password?: string }): Promise<HostedNode> {
    const node = this.deploy(fields, credentials)
    await node.until(() => node.shown === 'green 0 clients' || node.errors.length > 0)
    if (node.errors.length > 0) throw new Error(node.errors[0]!.text)
    return node
  }
}
