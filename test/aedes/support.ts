import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { onTestFinished } from 'vitest'
import { Aedes, type AedesOptions, type Client } from '../../presets/aedes/index.ts'
import { Line } from '../../presets/testing/line.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'

/** A broker by aedes' API, until the end of the test. */
export async function started(options: AedesOptions = {}): Promise<Aedes> {
  const aedes = await Aedes.createBroker(options)
  onTestFinished(() => new Promise<void>(resolve => aedes.close(resolve)))
  return aedes
}

/** A stream in memory that the broker has taken: its far end, and what `handle` returned. */
export function handled(aedes: Aedes, version: 3 | 4 | 5 = 4): { readonly far: TestClient; readonly client: Client } {
  const [ours, theirs] = Line.pair()
  onTestFinished(() => void ours.destroy())
  return { far: new TestClient(ours, version), client: aedes.handle(theirs) }
}

/** A client that is connected, and ready for the program. */
export async function connected(
  aedes: Aedes,
  options: ConnectOptions & { clientId: string },
): Promise<{ readonly far: TestClient; readonly client: Client }> {
  const both = handled(aedes, options.version)
  const ready = new Promise<void>(resolve => void both.client.once('connected', resolve))
  await both.far.connect(options)
  await ready
  return both
}

/** The next event of a broker, as a list of what its listener is given. */
export function next<E extends Parameters<Aedes['once']>[0]>(aedes: Aedes, event: E): Promise<unknown[]> {
  return new Promise(resolve => {
    const emitter: NodeJS.EventEmitter = aedes
    emitter.once(event as string, (...given: unknown[]) => resolve(given))
  })
}

/** What a function with a callback at its end comes to. */
export function called(act: (done: (error?: Error | null) => void) => void): Promise<Error | null | undefined> {
  return new Promise(resolve => act(resolve))
}

/** A client over TCP of loopback whose socket says that it comes from an address, and more such. */
export async function overTcp(aedes: Aedes, address: string) {
  const from: string[] = []
  const server = createServer(socket => void aedes.handle(Object.defineProperty(socket, 'remoteAddress', { value: from.shift() })))
  onTestFinished(() => void server.close())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const other = async (remoteAddress: string): Promise<TestClient> => {
    from.push(remoteAddress)
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    return new TestClient(socket, 4)
  }
  return { far: await other(address), other }
}
