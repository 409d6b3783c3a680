import { once } from 'node:events'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { onTestFinished } from 'vitest'
import type { Clock, Config } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { folderWith } from '../config/folder.ts'
import { startOnSocket } from '../interop/mosquitto.ts'
import { TestClient } from '../support/client.ts'
import { TestCa } from '../support/test-ca.ts'

export interface TlsBroker {
  readonly ca: TestCa
  readonly broker: RunningBroker
  /** Port of a listener, by its name. */
  port(name: 'socket' | 'websocket'): number
}

type TlsConfig = Omit<Config, 'ssl'> & { ssl?: Record<string, unknown> }

/** A broker with a certificate for loopback. Options of `ssl` are added; files stand in the CA's folder. `prepare` makes more of them first, and returns options for these. */
export async function startTlsBroker(
  { ssl: given = {}, ...config }: TlsConfig = {},
  clock?: Clock,
  prepare: (ca: TestCa) => Promise<object> = async () => ({}),
): Promise<TlsBroker> {
  const ca = await TestCa.create(await folderWith())
  await ca.issue('server', 'localhost')
  const ssl = { ...given, ...(await prepare(ca)) }
  const files = { cert: ca.path('server.crt'), key: ca.path('server.key'), ca: ca.path('ca.crt') }
  const broker = await startOnSocket({ ...config, ssl: { ...files, ...ssl } } as Config, clock)
  const port = (name: string) => broker.broker.listeners.find(one => one.name === name)!.port
  return { ca, broker, port }
}

/** A TLS connection that trusts the test's CA; what refuses it is thrown. */
export async function secure({ ca, port }: TlsBroker, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port: port('socket'), host: '127.0.0.1', servername: 'localhost', ca: ca.cert, ...options })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

/** The same, with MQTT behind it. */
export async function secureClient(broker: TlsBroker, options: ConnectionOptions = {}, version: 4 | 5 = 5): Promise<TestClient> {
  return new TestClient(await secure(broker, options), version)
}
