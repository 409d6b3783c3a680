import { isIP } from 'node:net'
import { isLoopback } from '../../plugins/kit/index.ts'
import { type Client as CoreClient, type ConnectPacket as CoreConnect, OperatorError, ReasonCode, type Refusal } from '../index.ts'
import type { Client } from './client.ts'
import { once } from './once.ts'
import type { ConnectPacket } from './packet-types.ts'
import { connectPacket } from './packets.ts'
import type { Wiring } from './wiring.ts'

/** In, under the user name that `preConnect` may have changed; not in; or no opinion. */
type Answer = true | { username: string | null } | ReasonCode | Refusal | undefined

const reasons: Readonly<Record<number, readonly [ReasonCode, string]>> = {
  2: [ReasonCode.ClientIdentifierNotValid, 'identifier rejected'],
  3: [ReasonCode.ServerUnavailable, 'Server unavailable'],
  4: [ReasonCode.BadUserNameOrPassword, 'bad user name or password'],
  5: [ReasonCode.NotAuthorized, 'not authorized'],
}

/** Asks whether a client may come in: `preConnect`, the limits of the options, then `authenticate`. */
export class Admission {
  readonly #wiring: Wiring

  constructor(wiring: Wiring) {
    this.#wiring = wiring
  }

  /** A CONNECT has been read. */
  async ask(core: CoreClient, connect: CoreConnect): Promise<Answer> {
    const client = this.#wiring.clientOf(core)
    client.connecting = true
    const packet = connectPacket(connect)
    const answer =
      (await this.#preConnect(client, packet)) ??
      this.#limited(client, packet, connect.keepAlive) ??
      (await this.#authenticate(client, core, packet))
    if (answer === true && packet.username !== connect.username) return { username: packet.username ?? null }
    return answer
  }

  #preConnect(client: Client, packet: ConnectPacket): Promise<Answer> {
    const before = { ...packet }
    return new Promise(resolve => {
      const answered = once((error: Error | null, success?: boolean): void => {
        const fault = error ?? (success === true ? changed(before, packet) : null)
        if (fault === null && success === true) return resolve(undefined)
        client.connecting = false
        const elsewhere = fault === null ? undefined : asMqtt5Says(packet.protocolVersion, fault)
        if (elsewhere?.serverReference !== undefined) {
          client.link.blame(fault!)
          return resolve(elsewhere)
        }
        // No CONNACK is sent.
        if (fault !== null) client.link.fail(fault)
        else client.close()
        resolve(ReasonCode.NotAuthorized)
      })
      this.#wiring.aedes.preConnect(client, packet, answered)
    })
  }

  /** What the options say of a CONNECT; `id` and `version` are set where it may go on. */
  #limited(client: Client, packet: ConnectPacket, asked: number): Answer {
    const { keepaliveLimit, maxClientsIdLength } = this.#wiring.options
    const { protocolVersion, clientId, keepalive } = packet
    if (protocolVersion === 3 && clientId.length > maxClientsIdLength) return this.#refuse(client, 2, new Error('identifier rejected'))
    if (keepaliveLimit > 0 && (keepalive === 0 || keepalive > keepaliveLimit)) {
      // MQTT 5 has a word for it.
      if (protocolVersion !== 5) return this.#refuse(client, 5, new Error('keep alive limit exceeded'))
      packet.keepalive = keepaliveLimit
    }
    client.id = client.link.core!.clientId
    client.link.keepAlive = packet.keepalive === asked ? null : packet.keepalive
    client.clean = packet.clean
    client.version = protocolVersion
    return undefined
  }

  #authenticate(client: Client, core: CoreClient, packet: ConnectPacket): Promise<Answer> | Answer {
    const { aedes, handlers, unguarded } = this.#wiring
    // Where another plugin says who may connect, aedes' default does not let everybody in.
    if (!handlers.authenticates) {
      if (!unguarded) return undefined
      const { remoteAddress } = core
      if (isIP(remoteAddress) === 0 || isLoopback(remoteAddress)) return true
      const cure = 'set aedes.authenticate, or say config: { allowAnonymous: true }'
      const error = new OperatorError('ERR_UNGUARDED', `anybody could connect, and ${remoteAddress} is another machine; ${cure}`)
      return this.#refuse(client, 5, error)
    }
    return new Promise(resolve => {
      const answered = once((error: Error | null, success?: boolean | null): void => {
        if (client.closed || core.closed) return resolve(ReasonCode.NotAuthorized)
        if (!error && success) return resolve(true)
        const asked = (error as { returnCode?: unknown } | null)?.returnCode
        const returnCode = typeof asked === 'number' && asked in reasons ? asked : 5
        const blamed = error ?? new Error(reasons[returnCode]![1])
        if (blamed.message === '') blamed.message = reasons[returnCode]![1]
        const refusal = this.#refuse(client, returnCode, blamed)
        resolve(asMqtt5Says(packet.protocolVersion, blamed) ?? refusal)
      })
      aedes.authenticate(client, packet.username, packet.password, answered)
    })
  }

  #refuse(client: Client, returnCode: number, error: Error): ReasonCode {
    Object.assign(error, { errorCode: returnCode })
    client.link.returnCode = returnCode
    client.link.blame(error)
    return reasons[returnCode]![0]
  }

  /** Everybody has let the client in. */
  admitted(core: CoreClient): void {
    const { keepAlive } = this.#wiring.clientOf(core).link
    if (keepAlive !== null) core.keepAlive = keepAlive
  }
}

/** What an error says to an MQTT 5 client by itself: a `reasonCode` from 0x80 on, and a `serverReference`, which goes with 0x9C or 0x9D only. */
function asMqtt5Says(version: number, error: Error): Refusal | undefined {
  const { reasonCode, serverReference } = error as { reasonCode?: unknown; serverReference?: unknown }
  if (version !== 5) return undefined
  const code = typeof reasonCode === 'number' && reasonCode >= 0x80 && reasonCode <= 0xff ? (reasonCode as ReasonCode) : undefined
  if (typeof serverReference === 'string')
    return { reasonCode: code === ReasonCode.ServerMoved ? code : ReasonCode.UseAnotherServer, serverReference }
  return code === undefined ? undefined : { reasonCode: code }
}

// What the broker has taken from a CONNECT before anybody is asked.
const fixed = ['protocolVersion', 'clientId', 'clean', 'will'] as const

/** What `preConnect` has changed and may not. */
function changed(before: ConnectPacket, after: ConnectPacket): Error | null {
  const name = fixed.find(one => before[one] !== after[one])
  if (name === undefined) return null
  return new OperatorError(
    'ERR_AEDES_PACKET',
    `preConnect changed ${name} of a CONNECT, which is fixed by then; it may change username, password and keepalive`,
  )
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A handler of `mqttx-broker/aedes` changed something of a packet that is fixed by then. */
    ERR_AEDES_PACKET: true
  }
}
