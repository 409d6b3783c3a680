import { resolve } from 'node:path'
import kafkajs, { type KafkaConfig, type SASLOptions } from 'kafkajs'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { clientTls, readConfigured } from '../../core/tls/client-tls.ts'
import type { BridgeOptions } from './rules.ts'

// Set on the client too: what refreshes metadata behind a failed send looks there only. Longer waits are the lane's, so that it can stop.
export const retry = { retries: 2, initialRetryTime: 100, maxRetryTime: 500 }

/** The kafkajs client that the options ask for. `folder`: what file names are relative to. */
export async function createKafka(options: BridgeOptions, folder: string, log: Log): Promise<kafkajs.Kafka> {
  await loadCodec(options.compression)
  const sasl = saslOf(options, folder)
  const ssl = tlsOf(options, folder)
  const config: KafkaConfig = {
    clientId: options.clientId,
    brokers: [...options.brokers],
    connectionTimeout: options.connectTimeout,
    authenticationTimeout: options.requestTimeout,
    requestTimeout: options.requestTimeout,
    enforceRequestTimeout: true,
    retry,
    // What matters of it is said in our own words; the rest is for whoever looks for it.
    logCreator:
      () =>
      ({ namespace, log: { message, logger: _logger, timestamp: _timestamp, ...fields } }) =>
        log.debug(fields, `kafkajs ${namespace}: ${message}`),
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
  }
  return new kafkajs.Kafka(config)
}

function saslOf({ sasl }: BridgeOptions, folder: string): SASLOptions | undefined {
  const { mechanism, username, password, tokenFile } = sasl
  if (mechanism === undefined) {
    if (username === undefined && password === undefined && tokenFile === undefined) return undefined
    throw new OperatorError(
      'ERR_CONFIG',
      'messageBridge.sasl.mechanism: required for a login; plain, scram-sha-256, scram-sha-512 or oauthbearer',
    )
  }
  if (mechanism === 'oauthbearer') {
    if (tokenFile === undefined)
      throw new OperatorError('ERR_CONFIG', 'messageBridge.sasl.tokenFile: required for oauthbearer; name the file with the token')
    const path = resolve(folder, tokenFile)
    return {
      mechanism,
      oauthBearerProvider: async () => ({ value: readConfigured('messageBridge.sasl.tokenFile', path).toString().trim() }),
    }
  }
  if (username === undefined || password === undefined) {
    throw new OperatorError('ERR_CONFIG', `messageBridge.sasl: ${mechanism} wants username and password`)
  }
  return { mechanism, username, password } as SASLOptions
}

function tlsOf({ ssl: { enable, ...files } }: BridgeOptions, folder: string): KafkaConfig['ssl'] {
  return enable ? clientTls('messageBridge.ssl', files, file => resolve(folder, file)) : undefined
}

const codecs = { snappy: 'kafkajs-snappy', lz4: 'kafkajs-lz4', zstd: '@kafkajs/zstd' } as const
const codecTypes = { snappy: 2, lz4: 3, zstd: 4 } as const

/** Compressions that kafkajs does not bring along come from packages of their own, which the user installs. */
async function loadCodec(compression: BridgeOptions['compression']): Promise<void> {
  if (compression === 'none' || compression === 'gzip') return
  const name: string = codecs[compression]
  try {
    const { default: codec } = (await import(name)) as { default: unknown }
    // Two of them are functions that make the codec, one is a class.
    const made = compression === 'snappy' ? codec : new (codec as new () => { codec: unknown })().codec
    ;(kafkajs.CompressionCodecs as Record<number, unknown>)[codecTypes[compression]] = made
  } catch (cause) {
    throw new OperatorError('ERR_CONFIG', `messageBridge.compression: ${compression} needs a package of its own: npm install ${name}`, {
      cause,
    })
  }
}
