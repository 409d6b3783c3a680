import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnackPacket } from '../../core/protocol/packets.ts'
import { type ConnectOptions, connectPacket, TestClient } from '../support/client.ts'

/** A broker in a process of its own, to be attacked: what it says, what it weighs, and how it ends. */
export class Target {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  /** Lines of its log, as JSON. */
  readonly log: { level: number; msg: string; [field: string]: unknown }[] = []
  /** What it wrote to standard error: nothing, if all is well. */
  errors = ''
  port = 0
  readonly #ended: Promise<number | string | null>
  #changed: () => void = () => {}
  readonly #sockets = new Set<Socket>()

  /** `node`: what Node itself is told. */
  constructor(program: string, folder: string, node: readonly string[] = []) {
    this.#child = spawn(process.execPath, [...node, program, '--preset', 'test'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    this.#child.stdout.on('data', (chunk: Buffer) => {
      text += chunk
      const lines = text.split('\n')
      text = lines.pop()!
      for (const line of lines) this.log.push(JSON.parse(line))
      this.#changed()
    })
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.errors += chunk
    })
    this.#ended = new Promise(resolve =>
      this.#child.on('close', (code, signal) => {
        this.#changed()
        resolve(code ?? signal)
      }),
    )
  }

  /** Waits for a line of its log. */
  async line(pattern: RegExp, from = 0): Promise<string> {
    for (;;) {
      const found = this.log.slice(from).find(({ msg }) => pattern.test(msg))
      if (found !== undefined) return found.msg
      if (!this.runs) throw new Error(`it has ended: ${this.errors} ${JSON.stringify(this.log.at(-1))}`)
      await new Promise<void>(resolve => {
        this.#changed = resolve
      })
    }
  }

  async ready(): Promise<void> {
    await this.line(/^ready/)
    this.port = await this.portOf('tcp')
  }

  /** The port of a listener: `tcp`, `ws`. */
  async portOf(protocol: string): Promise<number> {
    return Number(/:(\d+)$/.exec(await this.line(new RegExp(`^${protocol} listening on`)))![1])
  }

  /** Milliseconds of CPU that all its threads have taken. */
  get cpuMs(): number {
    const tasks = `/proc/${this.#child.pid}/task`
    return readdirSync(tasks).reduce(
      (sum, task) => sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'latin1').split(' ')[0]) / 1e6,
      0,
    )
  }

  get runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Its memory in MiB: now, and the most it ever was. */
  get memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')
    const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]) / 1024
    return { now: of('VmRSS'), peak: of('VmHWM') }
  }

  /** Asks it to stop; returns its exit code. */
  stop(): Promise<number | string | null> {
    this.#child.kill('SIGTERM')
    return this.#ended
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** A bare socket, from an address of loopback of one's own. */
  socket(from = '127.0.0.1', port = this.port): Promise<Socket> {
    return new Promise((resolve, reject) => {
      // Without the delay of Nagle's algorithm, of 40 ms, which would be taken for the broker's.
      const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true }, () => resolve(socket))
      socket.on('error', reject)
      socket.on('error', () => {})
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  /** A client on which nothing has been said yet. */
  async open(version: 3 | 4 | 5 = 5, from?: string): Promise<TestClient> {
    return new TestClient(await this.socket(from), version)
  }

  /** A client that has its CONNACK, whatever that says. */
  async connect(options: ConnectOptions = {}, from?: string): Promise<{ client: TestClient; connack: ConnackPacket }> {
    const version = options.version ?? 5
    const client = await this.open(version, from)
    client.send(connectPacket({ username: 'guest', password: 'guest', ...options, version }))
    return { client, connack: await client.next<ConnackPacket>(PacketType.Connack) }
  }

  /** Breaks off what is still open, but for one. */
  leave(staying: Duplex): void {
    for (const socket of this.#sockets) if (socket !== staying) socket.destroy()
  }
}

/** Waits until the broker has closed a bare socket. */
export function closed(socket: Socket): Promise<void> {
  socket.resume()
  return new Promise(resolve => {
    if (socket.destroyed) resolve()
    socket.on('close', () => resolve())
    socket.on('end', () => socket.destroy())
  })
}

/** Bytes from hex, blanks for the eye. */
export function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')
}

/** One attack: what is done, and what comes of it. Besides, the broker lives, stays within its memory, and serves a bystander meanwhile. */
export interface Attack {
  readonly name: string
  /** What `run` reports. */
  readonly happens: unknown
  run(target: Target): Promise<unknown>
  /** MiB that it may leave behind, where it is not the usual. */
  readonly leaves?: number
  /** A second time would be another attack. */
  readonly once?: boolean
}

/** So many at once. */
export function times<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => make(i)))
}

/** How a client's connection ended: the reason code of DISCONNECT, or just closed. */
export async function end(client: TestClient): Promise<string> {
  const packet = await client.ended()
  return packet === undefined ? 'closed' : `0x${packet.reasonCode.toString(16)}`
}

/** A client that is let in, and may publish and subscribe below `guest/`. */
export async function guest(target: Target, options: ConnectOptions = {}): Promise<TestClient> {
  return (await target.connect(options)).client
}

/** What publishing to each of these topics is answered with. */
export async function publishCodes(client: TestClient, topics: readonly string[]): Promise<number[]> {
  const found: number[] = []
  for (const topic of topics) found.push((await client.publish(topic, 'x', { qos: 1 }))!.reasonCode)
  return found
}
