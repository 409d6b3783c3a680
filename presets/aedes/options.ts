import { unknownName } from '../../plugins/kit/index.ts'
import { type Config, OperatorError, type PresetList } from '../index.ts'
import type { AedesOptions } from './handler-types.ts'

/** The options with their defaults, as far as they are numbers and names. */
export interface CheckedOptions {
  readonly heartbeatInterval: number
  readonly connectTimeout: number
  readonly drainTimeout: number
  readonly keepaliveLimit: number
  readonly maxClientsIdLength: number
  readonly maxTopicLevels: number
  readonly maxInflightInbound: number
}

const handlers = ['preConnect', 'authenticate', 'authorizePublish', 'authorizeSubscribe', 'authorizeForward', 'published']

// What a number may be, and what stands for it where it is left out.
const numbers = {
  concurrency: { minimum: 1, default: 100 },
  heartbeatInterval: { minimum: 1, default: 60_000 },
  connectTimeout: { minimum: 1, default: 30_000 },
  drainTimeout: { minimum: 0, default: 60_000 },
  keepaliveLimit: { minimum: 0, default: 0 },
  maxInflightInbound: { minimum: 0, default: 1000 },
  maxClientsIdLength: { minimum: 1, default: 23 },
  maxTopicLevels: { minimum: 0, default: 100 },
} as const

// What aedes has and this broker does by itself, or in another way.
const cures: Readonly<Record<string, string>> = {
  persistence:
    "leave it out; sessions and messages are kept by config: { preset: 'standalone' } on disk, by config: { redis: { url } } in Redis",
  mq: 'leave it out; several brokers are one by config: { redis: { url }, cluster: true }',
  queueLimit:
    'leave it out; what comes before a session is there is bounded in bytes, by config: { mqtt: { connectSizeMax } }, and is not read meanwhile',
  decodeProtocol: 'leave it out; a listener of config reads the PROXY protocol: config: { socket: { trustedProxies } }',
  trustProxy: 'leave it out; a listener of config takes addresses from a proxy: config: { socket: { trustedProxies } }',
  trustedProxies: 'leave it out; a listener of config takes addresses from a proxy: config: { socket: { trustedProxies } }',
}

/** Checks the options. Throws an `OperatorError` (`ERR_AEDES_OPTION`) that names the option and the cure. */
export function checkOptions(options: AedesOptions): CheckedOptions {
  for (const [name, value] of Object.entries(options)) check(name, value)
  const number = (name: keyof typeof numbers): number => options[name] ?? numbers[name].default
  return {
    heartbeatInterval: number('heartbeatInterval'),
    connectTimeout: number('connectTimeout'),
    drainTimeout: number('drainTimeout'),
    keepaliveLimit: number('keepaliveLimit'),
    maxClientsIdLength: number('maxClientsIdLength'),
    maxTopicLevels: Math.max(1, Math.min(number('maxTopicLevels'), numbers.maxTopicLevels.default)),
    maxInflightInbound: number('maxInflightInbound'),
  }
}

function check(name: string, value: unknown): void {
  if (value === undefined || value === null) return
  if (name in numbers) {
    const { minimum } = numbers[name as keyof typeof numbers]
    if (!Number.isSafeInteger(value) || (value as number) < minimum) refuse(name, `must be a whole number from ${minimum} on`)
  } else if (name === 'id') {
    if (typeof value !== 'string' || value === '' || /[+#/\0]/.test(value))
      refuse(name, 'must be a text that can stand in a topic, without + # and /')
  } else if (handlers.includes(name)) {
    if (typeof value !== 'function') refuse(name, 'must be a function')
  } else if (name === 'config') {
    if (typeof value !== 'object') refuse(name, 'must be a config of this broker')
  } else if (name in cures) {
    // aedes' own defaults say nothing.
    if (value !== false && !(Array.isArray(value) && value.length === 0)) refuse(name, cures[name]!)
  } else {
    refuse(name, unknownName(name, [...handlers, ...Object.keys(numbers), 'id', 'config']))
  }
}

function refuse(name: string, cure: string): never {
  throw new OperatorError('ERR_AEDES_OPTION', `${name}: ${cure}`)
}

// As preset `test`, without a listener, since the program has its own, and without a log, since aedes has none.
const inMemory: PresetList = () => ['dropLog', 'limits', 'memory', 'retain', 'shareTopic']

/** The config that the options come to. */
export function configOf(id: string, checked: CheckedOptions, given: Config = {}): Config {
  const receiveMaximum = Math.min(checked.maxInflightInbound || 65_535, 65_535)
  return {
    preset: inMemory,
    // The program has its own listener, on the same port as a rule.
    socket: false,
    brokerId: id,
    heartbeat: checked.connectTimeout,
    ...given,
    mqtt: {
      receiveMaximum,
      assignedIdPrefix: 'aedes_',
      topicLevelsMax: checked.maxTopicLevels,
      // aedes closes the connection of whoever publishes what it may not.
      deniedPublish: 'close',
      // Handlers ask databases, and aedes sets them no limit.
      verdictTimeout: '60s',
      ...given.mqtt,
    },
  }
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** An option of `mqttx-broker/aedes` is unknown, has a wrong value, or has no meaning here. */
    ERR_AEDES_OPTION: true
  }
}
