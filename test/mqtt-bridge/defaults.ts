import { expect } from 'vitest'
import { validateOptions } from '../../plugins/kit/options/validation.ts'
import { mqttBridgeManifest } from '../../plugins/mqtt-bridge/manifest.ts'
import type { ConnectionOptions, MqttBridgeOptions } from '../../plugins/mqtt-bridge/rules.ts'
import type { BridgeConnectionInput } from '../support/mqtt-bridge.ts'

/** A connection with these topics, and all else as by default. */
export function defaultsOf(topics: BridgeConnectionInput['topics']): ConnectionOptions {
  const given = { connections: [{ name: 'site', addresses: ['127.0.0.1'], topics }] }
  const { options, problems } = validateOptions(mqttBridgeManifest.options, given, '')
  expect(problems).toEqual([])
  return (options as MqttBridgeOptions).connections[0]!
}
