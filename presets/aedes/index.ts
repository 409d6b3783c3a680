// aedes' documented API on this broker, as `mqttx-broker/aedes`: it lies on what `mqttx-broker` and `mqttx-broker/kit` export, as a program of anybody's would.
import { OperatorError } from '../index.ts'

export { Aedes, type AedesEvents } from './aedes.ts'
export { Client, type ClientEvents, type Topic } from './client.ts'
export type { Connection } from './connection.ts'
export type { Done } from './done.ts'
export {
  type AedesOptions,
  AuthErrorCode,
  type AuthenticateError,
  type AuthenticateHandler,
  type AuthorizeForwardHandler,
  type AuthorizePublishHandler,
  type AuthorizeSubscribeHandler,
  type Brokers,
  type PreConnectHandler,
  type PublishedHandler,
} from './handler-types.ts'
export type { Deliver, Mq, MqHost } from './mq.ts'
export type * from './packet-types.ts'
export type { Persistence, PersistenceHost } from './persistence.ts'

/** As in aedes from version 1 on, the default export makes no broker. Throws an `OperatorError` (`ERR_AEDES_DEFAULT`) that says what does. */
export default function aedes(): never {
  throw new OperatorError(
    'ERR_AEDES_DEFAULT',
    "the default export makes no broker since aedes 1; write: import { Aedes } from 'mqttx-broker/aedes'; const aedes = await Aedes.createBroker(options)",
  )
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A program calls the default export of `mqttx-broker/aedes`, which made a broker in aedes 0. */
    ERR_AEDES_DEFAULT: true
  }
}
