import { createHash, timingSafeEqual } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { TlsService } from '../../plugins/kit/services/tls.ts'
import { type Config, createBroker, definePlugin, type Log, OperatorError, type Plugin, ReasonCode, type RunningBroker } from '../index.ts'
import type { RedNode, TlsConfigNode } from './red.ts'

/** What a node brings to its broker, besides the config. */
export interface Parts {
  /** What relative paths in the config start from. */
  readonly folder: string
  /** The one who may connect; null: the config says it. */
  readonly user: { readonly username: string; readonly password: string } | null
  /** The certificates of Node-RED's config node; null: none. */
  readonly tls: TlsConfigNode | null
}

/** Starts the broker of a node. Rejects with an error whose message names the cure. */
export function startBroker(node: RedNode, config: Config, { folder, user, tls }: Parts): Promise<RunningBroker> {
  const plugins: Plugin[] = []
  if (config.log === undefined) plugins.push(redLog(node))
  if (user !== null) plugins.push(oneUser(user))
  if (tls !== null) plugins.push(redTls(tls))
  return createBroker({ log: false, ...config, plugins: [...plugins, ...(config.plugins ?? [])] }, { folder }).start()
}

/** Log lines go where those of all nodes go: warnings and errors are in the editor's debug sidebar too. */
function redLog(node: RedNode): Plugin {
  const to =
    (write: (text: string) => void) =>
    (...line: [string] | [object, string]): void =>
      write(line.length === 1 ? line[0] : withFields(...line))
  const silent = (): void => {}
  const log: Log = {
    trace: silent,
    debug: silent,
    info: to(text => node.log(text)),
    warn: to(text => node.warn(text)),
    error: to(text => node.error(text, { topic: 'error', payload: { message: text } })),
    isLevelEnabled: level => level === 'info' || level === 'warn' || level === 'error',
  }
  return definePlugin({
    name: 'nodeRedLog',
    provides: ['log'],
    apply: ({ services }) => services.provide('log', log, 'nodeRedLog'),
  })()
}

function withFields(fields: object, text: string): string {
  const shown = Object.entries(fields).filter(([name]) => name !== 'err')
  return shown.length === 0 ? text : `${text} (${shown.map(([name, value]) => `${name}: ${String(value)}`).join(', ')})`
}

/** Lets in whoever knows the user name and password of the editor. Other users are left to the plugins of the config. */
function oneUser({ username, password }: { username: string; password: string }): Plugin {
  const wanted = hashOf(password)
  return definePlugin({
    name: 'nodeRedUser',
    apply({ hooks }) {
      hooks.onAuthenticate.tap('nodeRedUser', (client, connect) => {
        if (client.username !== username) return undefined
        return timingSafeEqual(hashOf(connect.password ?? ''), wanted) ? true : ReasonCode.BadUserNameOrPassword
      })
    },
  })()
}

const hashOf = (text: string | Buffer): Buffer => createHash('sha256').update(text).digest()

/** The certificates of a config node `tls-config`, for all listeners. They may lie in Node-RED's own store of credentials, and never come to a file of ours. */
function redTls({ cert, key, ca, credentials, valid }: TlsConfigNode): Plugin {
  if (!valid || cert === undefined || key === undefined)
    throw new OperatorError('ERR_TLS_FILE', 'TLS: the TLS configuration has no certificate and key; add both there, or choose another one')
  const options = { cert, key, ca, passphrase: credentials?.passphrase, minVersion: 'TLSv1.2' as const }
  try {
    createSecureContext(options)
  } catch (error) {
    throw new OperatorError('ERR_TLS', `TLS: ${(error as Error).message}; correct certificate, key and passphrase in the TLS configuration`)
  }
  const service: TlsService = {
    shared: { serverOptions: () => options, serve: () => {}, judge: () => ({}), usernameOf: () => undefined },
    own(_options, at) {
      throw new OperatorError(
        'ERR_CONFIG',
        `${at}: the node has a TLS configuration already; take it out of the node, and say ssl in the config`,
      )
    },
  }
  return definePlugin({
    name: 'nodeRedTls',
    provides: ['tls'],
    apply: ({ services }) => services.provide('tls', service, 'nodeRedTls'),
  })()
}
