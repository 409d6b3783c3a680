import type { Connection } from '../connection/connection.ts'
import { PacketType } from '../protocol/constants.ts'
import type { AuthPacket } from '../protocol/packets.ts'
import { ReasonCode } from '../reason.ts'
import { type Admission, type AuthStep, type Refusal, toRefusal } from '../refusals.ts'
import type { HandlerHost } from './host.ts'

export type ExchangeResult = { admission: Admission; data: Buffer | undefined } | { refusal: Refusal }

/** Enhanced authentication (4.12): asks `onAuth`, passes its challenges on, until it admits or refuses. */
export async function exchange(host: HandlerHost, client: Connection, first: AuthPacket): Promise<ExchangeResult> {
  // Keep-alive does not run before CONNACK, and each step of many could take its time.
  const late = host.clock.after(host.settings.heartbeat, () => {
    host.counters.limited.heartbeat += 1
    client.close(ReasonCode.KeepAliveTimeout, 'the AUTH exchange was not over within the heartbeat time')
  })
  try {
    return await steps(host, client, first)
  } finally {
    late.cancel()
  }
}

async function steps(host: HandlerHost, client: Connection, first: AuthPacket): Promise<ExchangeResult> {
  let packet = first
  for (;;) {
    const step = (await host.hooks.onAuth.promise(client, packet)) as AuthStep | undefined
    if (step === undefined)
      return { refusal: { reasonCode: ReasonCode.BadAuthenticationMethod, reasonString: 'no plugin knows this authentication method' } }
    if (typeof step === 'object' && 'admission' in step) return { admission: step.admission, data: step.data }
    if (typeof step !== 'object' || !('continue' in step)) return { refusal: toRefusal(step) }
    if (client.closed) return { refusal: { reasonCode: ReasonCode.UnspecifiedError } }
    const next = client.auth!.next()
    client.sender.auth(ReasonCode.ContinueAuthentication, step.data, step.reasonString)
    const answer = await next
    if (answer.reasonCode !== ReasonCode.ContinueAuthentication || answer.properties?.authenticationMethod !== client.auth!.method) {
      return { refusal: { reasonCode: ReasonCode.ProtocolError, reasonString: 'AUTH does not continue the exchange' } } // [MQTT-4.12.0-3] [MQTT-4.12.0-5]
    }
    packet = answer
  }
}

/** The first step of an exchange, made of CONNECT. */
export function authOf(client: Connection, data: Buffer | undefined): AuthPacket {
  const properties =
    data === undefined
      ? { authenticationMethod: client.auth!.method }
      : { authenticationMethod: client.auth!.method, authenticationData: data }
  return { type: PacketType.Auth, reasonCode: ReasonCode.Success, properties }
}
