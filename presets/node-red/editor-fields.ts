import type { Config } from '../index.ts'

/** What the editor keeps of a node; numbers are text. */
export interface EditorFields {
  /** The node's name; empty: none. */
  readonly name?: string
  /** `standalone`, `test`, `dev` or `prod`. */
  readonly preset?: string
  /** The TCP port; empty: no TCP. */
  readonly port?: string | number
  /** Where MQTT over WebSocket is: nowhere, at a port of its own, or at a path of Node-RED's own server. */
  readonly websocket?: 'off' | 'port' | 'path'
  /** The port of the WebSocket listener. */
  readonly websocketPort?: string | number
  /** The path on Node-RED's own server, behind its `httpNodeRoot`. */
  readonly websocketPath?: string
  /** Who may connect: this machine, whoever knows the user name and password, or anybody. */
  readonly access?: 'local' | 'password' | 'anyone'
  /** The id of a config node of type `tls-config`; empty: no TLS. */
  readonly tls?: string
  /** Publishes `$SYS/…`. */
  readonly sysTopic?: boolean
  /** Everything else, as JSON: an object of the broker's options. What it says wins over the fields. */
  readonly config?: string
}

/** A mistake in the editor's fields: the message says what to change. */
export class FieldError extends Error {}

/** The broker's config that the fields make. `id`: the node's. Throws a `FieldError`. */
export function configOf(fields: EditorFields, id: string): Config {
  const own = objectOf(fields.config)
  const preset = fields.preset || 'standalone'
  const config: Record<string, unknown> = {
    preset,
    socket: isEmpty(fields.port) ? false : { port: portOf(fields.port, 'Port') },
  }
  if (fields.websocket === 'port') config.websocket = { port: portOf(fields.websocketPort, 'WebSocket port') }
  else if (preset === 'prod') config.websocket = false
  if (fields.access === 'anyone') config.allowAnonymous = true
  if (fields.sysTopic === true) config.sysTopic = {}
  // Two brokers must not share a folder, and a node keeps its id however its flow is changed.
  if (preset === 'standalone') config.disk = { path: `mqttx-broker/${id}` }
  for (const [name, value] of Object.entries(own)) {
    const ours = config[name]
    config[name] = isObject(ours) && isObject(value) ? { ...ours, ...value } : value
  }
  return config as Config
}

function objectOf(text: string | undefined): Record<string, unknown> {
  if (isEmpty(text)) return {}
  let value: unknown
  try {
    value = JSON.parse(text!)
  } catch (error) {
    throw new FieldError(`Config: ${(error as Error).message}; write a JSON object, as { "mqtt": { "maximumPacketSize": "256KiB" } }`)
  }
  if (!isObject(value)) throw new FieldError('Config: this is no JSON object; write one, as { "mqtt": { "maximumPacketSize": "256KiB" } }')
  if (value.plugins !== undefined && !Array.isArray(value.plugins))
    throw new FieldError('Config: plugins is no list; write one, as { "plugins": ["./my-plugin.js"] }')
  return value
}

function portOf(value: string | number | undefined, field: string): number {
  const port = isEmpty(value) ? Number.NaN : Number(value)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new FieldError(`${field}: ${value ?? ''} is no port; write a number up to 65535`)
  return port
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === ''
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
