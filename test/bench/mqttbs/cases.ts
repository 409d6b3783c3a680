import type { Workload } from '../load/workload.ts'
import { scenarios } from '../scenarios.ts'

/** A case of the suite, at a scale that one machine with two cores takes, and what others have published of it. */
export interface SuiteCase {
  readonly id: string
  readonly title: string
  readonly workload: Workload
  /** Messages of each publisher before the measured run. Of a load that only connects: 0, it is run once. */
  readonly warmUp: number
  readonly published: readonly PublishedFigure[]
}

/** What somebody else has published, on another machine. */
export interface PublishedFigure {
  readonly broker: string
  /** Deliveries a second, or for the Java original acknowledged messages; null where only connections were made. */
  readonly perSecond: number | null
  /** Cores that the broker kept busy, on average; null where that says nothing of one message or one connection. */
  readonly cores: number | null
  /** Mean, publisher to subscriber, or of a connect. */
  readonly latencyMs: number | null
  /** Of the whole broker. */
  readonly memoryMiB: number
}

const seconds = 10
const fixed: Omit<Workload, 'kind' | 'publishers' | 'subscribers' | 'messages' | 'rate'> = {
  payload: 16,
  qos: 1,
  window: 0,
  cleanSession: true,
}

// emqx/mqttbs, folder `results`, as of its last change in 2023: one c5.4xlarge, whose processor time is given as a share of 16 cores.
const cores = 16
const emqx = 'EMQX 5.0.21'
const nanomq = 'NanoMQ 0.17.0'
const mosquitto = 'mosquitto 2.0.15'

function ofSuite(broker: string, perSecond: number | null, share: number, latencyMs: number, memoryMiB: number): PublishedFigure {
  return { broker, perSecond, cores: perSecond === null ? null : share * cores, latencyMs, memoryMiB }
}

// Amazingwujun/mqttx, README, 6.3: an i5-4460 with four cores, load and broker on one machine. It gives one share of the processor for the three
// of clean sessions, a quarter, and one for those of kept sessions.
function ofJava(perSecond: number, share: number): readonly PublishedFigure[] {
  return [{ broker: 'mqttx (Java) 1.0.5.BETA', perSecond, cores: share * 4, latencyMs: null, memoryMiB: 440 }]
}

const java: Record<string, readonly PublishedFigure[]> = {
  'publish-q0': ofJava(25_553, 0.25),
  'publish-q1': ofJava(14_897, 0.25),
  'publish-q2': ofJava(8667, 0.25),
  'publish-q0-kept': ofJava(24_723, 0.45),
  'publish-q1-kept': ofJava(8197, 0.45),
  'publish-q2-kept': ofJava(4637, 0.45),
}

/** The four cases of the Open MQTT Benchmark Suite's enterprise set, and the six cells of the Java original's README. */
export const suiteCases: readonly SuiteCase[] = [
  {
    id: 'connections',
    title: 'connections: 10,000 at 1,000 a second (suite: 1,000,000 at 5,000)',
    workload: { ...fixed, kind: 'connect', publishers: 10_000, subscribers: 0, messages: 1, rate: 1000 },
    warmUp: 0,
    published: [
      ofSuite(emqx, null, 0.24, 2.25, 12.1 * 1024),
      ofSuite(nanomq, null, 0.04, 2.99, 10.6 * 1024),
      ofSuite(mosquitto, null, 0.02, 5.61, 1024),
    ],
  },
  {
    id: 'one-to-one',
    title: 'one to one: 5,000 publishers to 5,000 subscribers, 5,000 messages/s (suite: ten times as many)',
    workload: { ...fixed, kind: 'pairs', publishers: 5000, subscribers: 5000, messages: seconds, rate: 5000 },
    warmUp: 3,
    published: [
      ofSuite(emqx, 50_000, 0.82, 2.17, 5.9 * 1024),
      ofSuite(nanomq, 50_000, 0.31, 64.48, 1.3 * 1024),
      ofSuite(mosquitto, 37_300, 0.06, 335.94, 328),
    ],
  },
  {
    id: 'fan-out',
    title: 'fan-out: 5 publishers to 1,000 subscribers, 50 messages/s, 50,000 deliveries/s (suite: five times the rate)',
    workload: { ...fixed, kind: 'fanOut', publishers: 5, subscribers: 1000, messages: (50 / 5) * seconds, rate: 50 },
    warmUp: 40,
    published: [
      ofSuite(emqx, 250_000, 0.79, 2.27, 494),
      ofSuite(nanomq, 250_000, 0.7, 14.07, 685),
      ofSuite(mosquitto, 81_000, 0.06, 12_445, 351),
    ],
  },
  {
    id: 'shared',
    title: 'shared subscription: 5,000 publishers to a group of 500, 5,000 messages/s (suite: ten times the publishers and the rate)',
    workload: { ...fixed, kind: 'shared', publishers: 5000, subscribers: 500, messages: seconds, rate: 5000 },
    warmUp: 3,
    published: [
      ofSuite(emqx, 50_000, 0.93, 2.51, 5.9 * 1024),
      ofSuite(nanomq, 50_000, 0.34, 2.76, 783),
      ofSuite(mosquitto, 41_000, 0.07, 12_476.34, 466),
    ],
  },
  ...scenarios
    .filter(({ id }) => id in java)
    .map(({ id, title, workload, warmUp }) => ({ id, title: `${title} (the Java original's)`, workload, warmUp, published: java[id]! })),
]
