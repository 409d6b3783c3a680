import { resolve } from 'node:path'
import type { Broker } from '../../core/broker.ts'
import type { Client } from '../../core/connection/client.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { Bridging } from './bridging.ts'
import type { OwnTransports } from './local-end.ts'
import { mqttBridgeManifest } from './manifest.ts'
import { type BridgeRules, type MqttBridgeOptions, readRules } from './rules.ts'
import { trailOf, trailProperty, withTrail } from './trail.ts'

const stateKey = 'mqttBridge/id'
// Less than the time that a tap may take (mqtt.verdictTimeout).
const keepFirstMs = 1000

/** Carries messages to other MQTT brokers and from there. */
export const mqttBridge = definePlugin(mqttBridgeManifest, ({ hooks, services, broker, clock, log, report }, options) => {
  const locate = (file: string): string => resolve(broker.folder, file)
  let bridgings: readonly Bridging[] = []
  let { connections } = options
  let reloading: Promise<void> = Promise.resolve()
  let id = options.id ?? ''
  const loops = { count: 0 }

  // Behind every other, so that nobody refuses the message afterwards. A disk that takes longer is waited for when it is routed.
  hooks.onPublish.tapAsync({ name: 'mqttBridge', stage: Stage.Observe + 100 }, (_publisher, message, answer) => {
    if (message.qos < 2) return answer(null)
    const kept = bridgings.map(bridging => bridging.keepFirst(message)).filter(one => one !== null)
    if (kept.length === 0) return answer(null)
    let waits = true
    const goOn = (): void => {
      timer.cancel()
      if (waits) answer(null)
      waits = false
    }
    const timer = clock.after(keepFirstMs, goOn)
    void Promise.all(kept).then(goOn)
  })

  hooks.onRoute.tap({ name: 'mqttBridge', stage: Stage.Record }, (message, _route, receipt) => {
    for (const bridging of bridgings) bridging.offer(message, receipt)
  })

  // Other bridges send here what was here before.
  hooks.onPublish.tap({ name: 'mqttBridge', stage: Stage.Guard }, (_publisher, message) => {
    if (message.properties?.userProperties === undefined || !trailOf(message).includes(id)) return undefined
    // A bridge of this broker has put the broker's own id there.
    if (bridgings.some(bridging => bridging.owns(message.clientId))) return undefined
    loops.count += 1
    broker.drop(message.clientId, message, 'mqttBridgeLoop')
    return 'kept'
  })

  const own: OwnTransports = new WeakSet()
  let admits = false
  /** The bridge's own clients come in whatever is asked of others, and may do what the rules say. */
  const admitOwn = (): void => {
    if (admits) return
    admits = true
    // Where nobody is asked who they are, a tap would keep out all others.
    if (hooks.onAuthenticate.isUsed()) {
      hooks.onAuthenticate.tap({ name: 'mqttBridge', stage: Stage.Guard }, client => {
        if (!own.has(client.transport)) return undefined
        const { username, rights } = bridgings.find(bridging => bridging.owns(client.clientId))!.admission
        // Rights that nobody checks keep a client out.
        return hooks.onAuthorize.isUsed() ? { username, rights } : { username }
      })
    }
    // What has come by the other way of the same connection does not go back.
    hooks.onDeliver.tap({ name: 'mqttBridge', stage: Stage.Guard }, (client, { message }) => {
      if (!own.has(client.transport)) return undefined
      return bridgings.some(bridging => bridging.owns(client.clientId) && bridging.owns(message.clientId)) ? false : undefined
    })
  }

  // Bridges that are clients of this broker say so in CONNECT: they are told which way a message has come, and get none that has been at their broker.
  const bridgeOf = new WeakMap<Client, string>()
  let stamps = false
  const stamp = (): void => {
    stamps = true
    hooks.onDeliver.tap({ name: 'mqttBridge', stage: Stage.Transform }, (client, delivery) => {
      const bridge = bridgeOf.get(client)
      if (bridge === undefined || id === '') return undefined
      const trail = trailOf(delivery.message)
      if (trail.includes(bridge)) return false
      if (!trail.includes(id)) delivery.properties = withTrail(delivery.properties, [...trail, id])
      return undefined
    })
  }
  hooks.onConnect.tap('mqttBridge', (client, { properties }) => {
    const bridge = properties?.userProperties?.find(([name]) => name === trailProperty)?.[1]
    if (bridge === undefined) return
    bridgeOf.set(client, bridge)
    if (!stamps) stamp()
  })

  /** The rules of connections whose options and files can be used; all that is wrong is thrown at once. */
  const verified = async (given: MqttBridgeOptions['connections']): Promise<readonly BridgeRules[]> => {
    const { verifyConnection } = await import('./verify-connection.ts')
    const problems: string[] = []
    let rules: readonly BridgeRules[] = []
    const attempt = (look: () => void): void => {
      try {
        look()
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error
        problems.push(...error.problems)
      }
    }
    attempt(() => (rules = readAll(given, services.has('queue'))))
    for (const [index, connection] of given.entries()) attempt(() => verifyConnection(connection, placeOf(index), locate))
    if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
    return rules
  }

  /** Makes those that are not there yet, by their names. */
  const make = async (given: MqttBridgeOptions['connections'], rules: readonly BridgeRules[]): Promise<Bridging[]> => {
    const { Bridging } = await import('./bridging.ts')
    const parts = { broker, queues: services.find('queue'), id, maxHops: options.maxHops, own, loops, locate, report }
    if (rules.some(({ out, in: inward }) => [...out, ...inward].some(({ once }) => once))) admitOwn()
    tellNodes(broker, rules)
    return given.map(
      (connection, index) =>
        bridgings.find(({ name }) => name === connection.name) ?? new Bridging(parts, connection, placeOf(index), rules[index]!),
    )
  }

  const follow = async (next: MqttBridgeOptions['connections']): Promise<void> => {
    const before = bridgings
    const now = await make(next, await verified(next))
    bridgings = now
    connections = next
    for (const [index, bridging] of now.entries()) {
      if (before.includes(bridging)) bridging.follow(next[index]!)
      else bridging.start()
    }
    // What waits for one that is taken out stays on disk.
    await Promise.all(before.filter(one => !now.includes(one)).map(one => one.stop(options.stopTimeout)))
  }

  return {
    async verify() {
      const rules = await verified(connections)
      if (rules.every(({ out, in: inward }) => out.length + inward.length === 0))
        log.warn('mqttBridge: no connection carries anything; set mqttBridge.connections[0].topics')
    },
    async start() {
      const { offerFigures } = await import('./figures.ts')
      const queues = services.find('queue')
      if (id === '') id = await ownId(broker)
      bridgings = await make(connections, readAll(connections, queues !== undefined))
      offerFigures(broker.figures, () => bridgings, loops)
      sayLeftOver(connections, queues?.names() ?? [], name => log.warn(name))
    },
    // What comes from another broker finds the subscribers of this one.
    listen() {
      for (const bridging of bridgings) bridging.start()
      return []
    },
    // What cannot be used is said, and each connection stays as it is.
    reread() {
      for (const bridging of bridgings) bridging.reread()
    },
    async probe() {
      const { probeConnection } = await import('./probe-connection.ts')
      const lines: string[] = []
      for (const [index, connection] of connections.entries()) lines.push(await probeConnection(connection, placeOf(index), locate, clock))
      return lines
    },
    // One after the other: a connection that is taken out and named again is the same one on disk.
    reload({ connections: next }) {
      const done = reloading.then(() => follow(next))
      reloading = done.catch(() => {})
      return done
    },
    async stop() {
      await reloading
      await Promise.all(bridgings.map(bridging => bridging.stop(options.stopTimeout)))
    },
  }
})

const placeOf = (index: number): string => `mqttBridge.connections[${index}]`

/** The rules of all connections. All that is wrong is said at once. */
function readAll(connections: MqttBridgeOptions['connections'], hasQueue: boolean): BridgeRules[] {
  const problems: string[] = []
  const names = new Set<string>()
  const rules = connections.map((connection, index) => {
    const at = placeOf(index)
    if (names.has(connection.name)) problems.push(`${at}.name: two connections are called ${connection.name}; give one another name`)
    names.add(connection.name)
    try {
      return readRules(connection, at, hasQueue)
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      problems.push(...error.problems)
      return { out: [], in: [] }
    }
  })
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  return rules
}

/** By which bridges know this broker: made up once, and kept with what the nodes of a cluster share. */
async function ownId(broker: Broker): Promise<string> {
  const state = broker.services.find('state')
  const known = state?.get(stateKey)?.value
  if (known !== undefined) return known
  const id = broker.clock.random(6).toString('hex')
  // Without a store it is a new one at the next start, and so is everything else.
  await state?.set(stateKey, id).catch(error => broker.report(error))
  return id
}

/** Other nodes, and other workers, send here what goes out: `onRoute` sees it, so there is nothing left to do with it. */
function tellNodes(broker: Broker, rules: readonly BridgeRules[]): void {
  if (!broker.services.has('bus')) return
  const filters = new Set(rules.flatMap(({ out }) => out.map(({ filter }) => filter)))
  for (const filter of filters) broker.subscribe(filter, () => {})
}

function sayLeftOver(connections: MqttBridgeOptions['connections'], queues: readonly string[], say: (line: string) => void): void {
  const names = new Set(connections.map(({ name }) => name))
  for (const queue of queues) {
    const [kind, name] = queue.split(' ')
    if (kind === 'mqtt' && !names.has(name!))
      say(`mqttBridge: messages may wait on disk for ${name}, which is no connection any more; name it again`)
  }
}
