import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { connect as connectTcp, type NetConnectOpts } from 'node:net'
import { dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { onTestFinished } from 'vitest'
import { PacketType, type ProtocolVersion } from '../../../core/protocol/constants.ts'
import type { Packet } from '../../../core/protocol/packets.ts'
import { createBroker } from '../../../presets/index.ts'
import { translateMosquitto } from '../../../presets/shell/import/mosquitto-conf.ts'
import { folderWith } from '../../config/folder.ts'
import { type ConnectOptions, TestClient } from '../../support/client.ts'
import { freePort } from '../../support/redis.ts'

/** One config, and what clients do with a broker that runs it. */
export interface Case {
  readonly name: string
  /** Further files beside mosquitto.conf, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** Makes files that a text cannot be: certificates, password files by mosquitto_passwd. */
  prepare?(folder: string): Promise<void>
  /** mosquitto.conf. `ports` are free ones; `at` makes a whole path of a file's name. */
  conf(ports: readonly number[], at: (name: string) => string): string
  script(session: Session): Promise<void>
}

/** What a script has: clients of either broker, whose packets are kept. */
export class Session {
  readonly ports: readonly number[]
  readonly folder: string
  /** Stops the broker in good order, and starts it again with the same files. */
  readonly restart: () => Promise<void>
  readonly #clients = new Map<string, TestClient>()
  readonly #said: string[] = []

  constructor(ports: readonly number[], folder: string, restart: () => Promise<void>) {
    this.ports = ports
    this.folder = folder
    this.restart = restart
  }

  /** A client that is not connected yet, by the name that the trace calls it. Each has a name of its own. */
  async open(name: string, version: ProtocolVersion = 4, to: number | string | ConnectionOptions = 0): Promise<TestClient> {
    const client = new TestClient(await this.#stream(to), version)
    onTestFinished(() => client.drop())
    this.#clients.set(name, client)
    return client
  }

  /** The same, and sends CONNECT; `undefined` where the answer refuses it. What it hears is in the trace either way. */
  readonly connect = async (
    name: string,
    options: ConnectOptions & { to?: number | string | ConnectionOptions } = {},
  ): Promise<TestClient> => {
    const { to = 0, version = 4, ...more } = options
    const client = await this.open(name, version, to)
    // mosquitto tells those who want no keep-alive to have one of 18 hours.
    client.sendConnect({ clientId: name, version, keepAlive: 60, ...more })
    await Promise.race([client.next(PacketType.Connack), client.closed])
    return client
  }

  /** Puts something into the trace that no packet says. */
  say(text: string): void {
    this.#said.push(text)
  }

  /** What all clients have heard, and that they were closed; in the order of each. */
  async trace(): Promise<string[]> {
    const lines: string[] = [...this.#said]
    for (const [name, client] of this.#clients) {
      // What is on the way has come when the ping is answered.
      if (!client.isClosed) await client.rest().catch(() => [])
      const heard = client.heard.filter(({ type }) => type !== PacketType.Pingresp)
      lines.push(...heard.map(packet => `${name} < ${shown(packet)}`))
      if (client.isClosed) lines.push(`${name} closed`)
    }
    return lines
  }

  async #stream(to: number | string | ConnectionOptions): Promise<Duplex> {
    if (typeof to === 'object') {
      const stream = connectTls({ port: this.ports[0]!, host: '127.0.0.1', ...to })
      await once(stream, 'secureConnect')
      return stream
    }
    const place: NetConnectOpts = typeof to === 'string' ? { path: join(this.folder, to) } : { port: this.ports[to]!, host: '127.0.0.1' }
    const stream = connectTcp(place)
    await once(stream, 'connect')
    return stream
  }
}

// The names of packets, for a trace that people read.
const names = Object.fromEntries(Object.entries(PacketType).map(([name, type]) => [type, name.toUpperCase()]))

function shown(packet: Packet): string {
  const { type, ...fields } = packet
  // Which identifier a message has is the broker's own choice.
  if (packet.type === PacketType.Publish && packet.qos > 0) (fields as { packetId: number }).packetId = 1
  // What the broker makes up, or measures, is another each time.
  const text = JSON.stringify(fields, (key, value: unknown) => {
    if (key === 'assignedClientId') return String(value).replace(/[0-9a-f]/gi, 'x')
    if (key === 'payload') return Buffer.from(value as never).toString()
    return value
  })
  return `${names[type]} ${text}`
}

interface Running {
  stop(): Promise<void>
}

/** The traces of one case, by mosquitto and by this broker. */
export async function traces(one: Case): Promise<{ mosquitto: string[]; ours: string[] }> {
  return { mosquitto: await traceOf(one, startMosquitto), ours: await traceOf(one, startOurs) }
}

async function traceOf(one: Case, start: (file: string) => Promise<Running>): Promise<string[]> {
  const folder = await folderWith()
  await chmod(folder, 0o755)
  for (const [name, text] of Object.entries(one.files ?? {})) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  await one.prepare?.(folder)
  const ports = [await freePort(), await freePort()]
  const conf = join(folder, 'mosquitto.conf')
  // Started by root it would become a user that cannot read the test's files.
  const user = process.getuid?.() === 0 ? 'user root\n' : ''
  await writeFile(conf, user + one.conf(ports, name => join(folder, name)))
  let running = await start(conf)
  const restart = async (): Promise<void> => {
    await running.stop()
    running = await start(conf)
  }
  const session = new Session(ports, folder, restart)
  try {
    await one.script(session)
    return await session.trace()
  } finally {
    await running.stop()
  }
}

async function startMosquitto(conf: string): Promise<Running> {
  const child = spawn('mosquitto', ['-c', conf], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let log = ''
  await new Promise<void>((resolve, reject) => {
    child.on('error', ({ code, message }: NodeJS.ErrnoException) =>
      reject(new Error(code === 'ENOENT' ? 'mosquitto is missing: run  sudo apt-get install mosquitto' : message)),
    )
    child.on('exit', () => reject(new Error(`mosquitto ended: ${log}`)))
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk
      if (/ running$/m.test(log)) resolve()
    })
  })
  return {
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

async function startOurs(conf: string): Promise<Running> {
  const { config } = await translateMosquitto(await readFile(conf, 'utf8'), {
    name: conf,
    folder: dirname(conf),
    env: {},
    read: path => readFile(path, 'utf8').catch(() => undefined),
    list: path => readdir(path),
    path: path => path,
  })
  const broker = await createBroker({ ...config, admin: false, log: { level: 'silent' } }).start()
  onTestFinished(() => broker.stop())
  return { stop: () => broker.stop() }
}
