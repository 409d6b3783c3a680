import type { Workload } from './load/workload.ts'

export interface Scenario {
  readonly id: string
  readonly title: string
  readonly workload: Workload
  /** Messages of each publisher that warm the broker up before the measured run; of a load that only connects: any number is one run of it. V8 takes half a second of load to compile what is hot. */
  readonly warmUp: number
  /** Brokers that cannot do this. */
  readonly without?: readonly string[]
}

const base: Workload = {
  kind: 'pairs',
  publishers: 100,
  subscribers: 100,
  messages: 1000,
  payload: 64,
  qos: 0,
  window: 20,
  rate: 0,
  cleanSession: true,
}

function scenario(id: string, title: string, warmUp: number, workload: Partial<Workload>, without?: readonly string[]): Scenario {
  return { id, title, warmUp, workload: { ...base, ...workload }, ...(without === undefined ? {} : { without }) }
}

const levels = [0, 1, 2] as const

/**
 * What is compared. The first six are those of the Java mqttx's README: 1,000 clients publish 1,000 messages of 1 KiB each, and wait
 * for each acknowledgement; every fifth of the messages here, since the figures are rates.
 */
export const scenarios: readonly Scenario[] = [
  ...[true, false].flatMap(cleanSession =>
    levels.map(qos =>
      scenario(
        `publish-q${qos}${cleanSession ? '' : '-kept'}`,
        `1000 publishers, 1 KiB, QoS ${qos}, ${cleanSession ? 'clean' : 'kept'} sessions`,
        20,
        {
          kind: 'publish',
          publishers: 1000,
          subscribers: 0,
          messages: 200,
          payload: 1024,
          qos,
          window: qos === 0 ? 0 : 1,
          cleanSession,
        },
      ),
    ),
  ),
  ...levels.map(qos =>
    scenario(`pairs-q${qos}-w20`, `100 pairs, 64 B, QoS ${qos}, window 20`, qos === 0 ? 4000 : 1000, {
      qos,
      messages: qos === 0 ? 10_000 : 5000,
    }),
  ),
  ...levels.map(qos => scenario(`pairs-q${qos}-w1`, `100 pairs, 64 B, QoS ${qos}, window 1`, 200, { qos, window: 1, messages: 1500 })),
  ...([0, 1] as const).map(qos =>
    scenario(`fan-out-q${qos}`, `fan-out 1 to 1000, 64 B, QoS ${qos}`, 100, {
      kind: 'fanOut',
      publishers: 1,
      subscribers: 1000,
      qos,
      messages: 1500,
    }),
  ),
  ...([0, 1] as const).map(qos =>
    scenario(`fan-in-q${qos}`, `fan-in 500 to 1, 64 B, QoS ${qos}`, 1000, {
      kind: 'fanIn',
      publishers: 500,
      subscribers: 1,
      qos,
      messages: 1000,
    }),
  ),
  scenario('shared-q1', 'shared group, 100 to 10, 64 B, QoS 1', 300, { kind: 'shared', subscribers: 10, qos: 1, messages: 3000 }, [
    'aedes',
  ]),
  ...([0, 1] as const).map(qos =>
    scenario(`rate-q${qos}`, `100 pairs, 64 B, QoS ${qos}, 20,000 messages/s`, 200, { qos, window: 0, rate: 20_000, messages: 1000 }),
  ),
  ...([0, 1] as const).map(qos =>
    scenario(`large-q${qos}`, `20 pairs, 16 KiB, QoS ${qos}, window 4`, 500, {
      publishers: 20,
      subscribers: 20,
      payload: 16_384,
      qos,
      window: 4,
      messages: 2000,
    }),
  ),
  scenario('huge-q1', '10 pairs, 256 KiB, QoS 1, window 4', 50, {
    publishers: 10,
    subscribers: 10,
    payload: 262_144,
    qos: 1,
    window: 4,
    messages: 300,
  }),
  scenario('huge-fan-out-q1', 'fan-out 1 to 50, 256 KiB, QoS 1', 10, {
    kind: 'fanOut',
    publishers: 1,
    subscribers: 50,
    payload: 262_144,
    qos: 1,
    window: 4,
    messages: 60,
  }),
  ...[true, false].map(cleanSession =>
    scenario(`connect${cleanSession ? '' : '-kept'}`, `5000 connects, 100 at a time, ${cleanSession ? 'clean' : 'kept'} sessions`, 1, {
      kind: 'connect',
      publishers: 5000,
      subscribers: 0,
      messages: 1,
      cleanSession,
    }),
  ),
  scenario('retained-store', 'storing 50,000 retained messages, each under a new topic', 10_000, {
    kind: 'store',
    publishers: 1,
    subscribers: 0,
    messages: 50_000,
  }),
  scenario('retained-give', '20,000 retained messages to each of 4 wildcard subscribers', 1, {
    kind: 'retained',
    publishers: 0,
    subscribers: 4,
    messages: 20_000,
  }),
]
