import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { freePort } from '../support/redis.ts'

/** A node of a flow, as the editor deploys it. */
export type FlowNode = { readonly id: string; readonly type: string; readonly [field: string]: unknown }

/** Of the payloads of the node's messages, what is looked at. */
export interface EventPayload {
  readonly client: { readonly id: string }
  readonly packet: { readonly topic: string; readonly payload: { readonly data: number[] }; readonly qos: number; readonly retain: boolean }
  readonly topic: string
  readonly code: string
}

export interface NodeStatus {
  readonly fill?: string
  readonly shape?: string
  readonly text?: string
}

const waitMs = 30_000
const configTypes = new Set(['tls-config', 'mqtt-broker'])

/** A Node-RED of its own process, with a user directory of its own. */
export class NodeRed {
  readonly port: number
  readonly userDir: string
  readonly #process: ChildProcess
  /** What it has written so far. */
  log = ''
  readonly statuses = new Map<string, NodeStatus>()
  #changed: () => void = () => {}
  #comms: WebSocket | null = null

  private constructor(child: ChildProcess, port: number, userDir: string) {
    this.#process = child
    this.port = port
    this.userDir = userDir
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', chunk => {
        this.log += chunk
        this.#changed()
      })
  }

  /** Starts the Node-RED that is installed in `folder` by the Node in `node`, with a user directory in which the package is installed. */
  static async start(folder: string, node: string, userDir: string): Promise<NodeRed> {
    const port = await freePort()
    const settings = {
      flowFile: 'flows.json',
      uiHost: '127.0.0.1',
      uiPort: port,
      credentialSecret: 'of this test',
      editorTheme: { tours: false, palette: { catalogues: [] } },
      telemetry: { enabled: false },
    }
    await writeFile(join(userDir, 'settings.js'), `module.exports = ${JSON.stringify(settings)}`)
    const child = spawn(node, [join(folder, 'node_modules/node-red/red.js'), '--userDir', userDir], {
      cwd: await mkdtemp(join(tmpdir(), 'node-red-cwd-')),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    const red = new NodeRed(child, port, userDir)
    await red.until('it has started', () => /Started flows|Server now running/.test(red.log) && red.log.includes('Server now running'))
    const comms = new WebSocket(`ws://127.0.0.1:${port}/comms`)
    comms.on('message', data => {
      for (const { topic, data: status } of [JSON.parse(String(data))].flat() as { topic?: string; data: NodeStatus }[])
        if (topic?.startsWith('status/')) red.statuses.set(topic.slice('status/'.length), status)
      red.#changed()
    })
    await once(comms, 'open')
    comms.send(JSON.stringify({ subscribe: 'status/#' }))
    red.#comms = comms
    return red
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async get(path: string): Promise<unknown> {
    const answer = await fetch(this.url + path, { headers: { accept: 'application/json' } })
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
    return answer.json()
  }

  /** Deploys a whole flow; resolves when Node-RED has stopped what ran before, and has started it. */
  async deploy(nodes: readonly FlowNode[], type: 'full' | 'nodes' | 'flows' = 'full'): Promise<void> {
    const tab = { id: 'tab', type: 'tab', label: 'test' }
    // A node without a place is a config node.
    const flows = [
      tab,
      ...nodes.map((node, i) => (configTypes.has(node.type) ? node : { z: 'tab', x: i === 0 ? 160 : 420, y: 60 + 60 * i, ...node })),
    ]
    this.statuses.clear()
    const from = this.log.length
    const answer = await fetch(`${this.url}/flows`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'Node-RED-Deployment-Type': type },
      body: JSON.stringify(flows),
    })
    if (!answer.ok) throw new Error(`deploy: ${answer.status} ${await answer.text()}`)
    // The answer comes before the nodes have started.
    await this.until('the flow is started', () => /Started (modified )?(flows|nodes)/.test(this.log.slice(from)))
  }

  /** Deploys a flow with a node `broker`, and waits until that serves. */
  async serve(nodes: readonly FlowNode[], type: 'full' | 'nodes' = 'full'): Promise<void> {
    const from = this.log.length
    await this.deploy(nodes, type)
    await this.until('the broker serves', () => this.log.includes('ready: mqttx-broker', from))
    await this.statusOf('broker', '0 clients')
  }

  async statusOf(id: string, text: string | RegExp): Promise<NodeStatus> {
    const fits = (status: NodeStatus | undefined): boolean =>
      typeof text === 'string' ? status?.text === text : text.test(status?.text ?? '')
    await this.until(`status ${text} of ${id}, which is ${JSON.stringify(this.statuses.get(id))}`, () => fits(this.statuses.get(id)))
    return this.statuses.get(id)!
  }

  /** What function nodes of the flow have logged as `EVENT {…}`. */
  get events(): { topic: string; payload: EventPayload }[] {
    return [...this.log.matchAll(/EVENT (\{.*\})/g)].map(([, json]) => JSON.parse(json!))
  }

  /** Forgets what it has said so far. */
  forget(): void {
    this.log = ''
    this.statuses.clear()
  }

  /** Waits for what Node-RED says or does. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const late = Date.now() + waitMs
    while (!holds()) {
      if (Date.now() > late || this.#process.exitCode !== null)
        throw new Error(`Node-RED: ${what}: waited in vain; the end of its log:\n${this.log.slice(-2000)}`)
      await new Promise<void>(resolve => {
        this.#changed = resolve
        setTimeout(resolve, 200).unref()
      })
    }
  }

  /** Ends it as a service manager does; resolves to its exit code. */
  async stop(): Promise<number | null> {
    this.#comms?.close()
    if (this.#process.exitCode !== null) return this.#process.exitCode
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    const late = setTimeout(() => this.#process.kill('SIGKILL'), waitMs)
    const [code] = await ended
    clearTimeout(late)
    return code
  }

  async remove(): Promise<void> {
    await this.stop()
    await rm(this.userDir, { recursive: true, force: true })
  }
}
