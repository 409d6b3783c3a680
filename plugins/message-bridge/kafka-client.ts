import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import kafkajs, { type KafkaConfig, type SASLOptions } from 'kafkajs'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { clientTls, readConfigured } from '../kit/client-tls.ts'
import { loadCodec } from './kafka-codecs.ts'
import { kafkaSocket } from './kafka-socket.ts'
import type { BridgeOptions } from './rules.ts'

// Set on the client too: what refreshes metadata behind a failed send looks there only. Longer waits are the lane's, so that it can stop.
export const retry = { retries: 2, initialRetryTime: 100, maxRetryTime: 500 }

interface RequestQueue {
  throttledUntil: number
  scheduleCheckPendingRequests(): void
}

// A connection that Kafka has not slowed waits until a moment long ago (kafkajs 2.2.4), of which Node 24 warns on standard error.
const { prototype: queue } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }
const schedule = queue.scheduleCheckPendingRequests
queue.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  this.throttledUntil = Math.max(this.throttledUntil, Date.now())
  schedule.call(this)
}

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
    socketFactory: kafkaSocket,
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
