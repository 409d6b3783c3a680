import type { Socket } from 'node:net'
import { OperatorError } from '../../core/errors.ts'
import type { Clock } from '../../core/time/clock.ts'
import { openSocket, readAddress } from './address.ts'
import { passwordOf } from './password.ts'
import { RemoteLink } from './remote-link.ts'
import type { ConnectionOptions } from './rules.ts'
import { connackReason, connectPacket, refusalText, versionOf } from './session.ts'
import { tlsFault } from './tls-faults.ts'

/** Connects once, with a client id and a session of its own, so that a broker that runs keeps its connection. Resolves to a line, rejects with the cure. */
export async function probeConnection(
  given: ConnectionOptions,
  at: string,
  locate: (file: string) => string,
  clock: Clock,
): Promise<string> {
  const options = { ...given, cleanStart: true, notifications: 'none' as const }
  const { connectTimeout, maximumPacketSize, name, ssl } = options
  const password = passwordOf(options, at, locate)
  const address = readAddress(options.addresses[0]!, `${at}.addresses[0]`, ssl.enable)
  const clientId = `mqttx-check-${clock.random(4).toString('hex')}`
  let socket: Socket | null = null
  try {
    return await new Promise<string>((resolve, reject) => {
      const timer = clock.after(connectTimeout, () => reject(new Error('it does not answer')))
      const failed = (error: Error): void => {
        timer.cancel()
        reject(error)
      }
      socket = openSocket(address, options, at, locate, () => {
        const connect = connectPacket(options, { clientId, password, id: clientId, isPrivate: false, stateTopic: null })
        const link = new RemoteLink(
          socket!,
          connect,
          { clock, answerMs: connectTimeout, maximumPacketSize },
          {
            connack: packet => {
              timer.cancel()
              const reason = connackReason(versionOf(options), packet.reasonCode)
              link.end()
              if (reason === 0) resolve(`${name}: the broker at ${address.text} answers`)
              else reject(new Error(refusalText(reason, packet, at)))
            },
            packet: () => {},
            drained: () => {},
            closed: failed,
          },
        )
      })
      socket.on('error', failed)
    })
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause
    const { message } = address.tls ? tlsFault(cause as Error, options, at) : (cause as Error)
    throw new OperatorError('ERR_MQTT_BRIDGE', `${at}.addresses: ${address.text}: ${message}; start it, or correct the address`, { cause })
  } finally {
    ;(socket as Socket | null)?.destroySoon()
  }
}
