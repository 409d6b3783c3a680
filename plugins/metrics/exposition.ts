import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client'
import type { Broker } from '../../core/broker.ts'
import type { Figure, Sample } from '../kit/figures.ts'
import { coreFigures } from './core-figures.ts'
import { EventCounts } from './event-counts.ts'
import { StoredTotals } from './stored-totals.ts'
import { TapTimes } from './tap-times.ts'

// These walk over every connection: with 10,000 of them a scrape took 27 ms of the broker's own time, without them 3.5 ms.
const heavy = [
  'process_open_fds',
  ...['handles', 'resources', 'requests'].flatMap(kind => [`nodejs_active_${kind}`, `nodejs_active_${kind}_total`]),
]

/**
 * What Prometheus reads. Of messages nothing is counted here: at each scrape the broker's own counters, and what plugins offer, are read and written down, so
 * that the hot path does not know whether anybody looks.
 */
export class Exposition {
  readonly #broker: Broker
  readonly #node: Registry | null
  readonly #own: readonly Figure[]
  readonly #stored: StoredTotals
  /** What plugins' taps cost. */
  readonly tapTimes: TapTimes

  constructor(broker: Broker, node: boolean) {
    this.#broker = broker
    this.#stored = new StoredTotals(broker)
    this.tapTimes = new TapTimes(broker.hooks)
    this.#own = coreFigures(broker, this.tapTimes, this.#stored, new EventCounts(broker.hooks))
    this.#node = node ? new Registry() : null
    if (this.#node === null) return
    collectDefaultMetrics({ register: this.#node })
    for (const name of heavy) this.#node.removeSingleMetric(name)
  }

  get contentType(): string {
    return Registry.PROMETHEUS_CONTENT_TYPE
  }

  async text(): Promise<string> {
    await this.#stored.refresh()
    // Plugins may offer figures at any time, so what there is is looked up each time.
    const registry = new Registry()
    for (const figure of this.#own) register(registry, figure)
    for (const figure of this.#broker.figures) register(registry, figure)
    const own = await registry.metrics()
    return this.#node === null ? own : `${own}${await this.#node.metrics()}`
  }

  stop(): void {
    this.#node?.clear()
  }
}

function register(registry: Registry, { name, help, type, read }: Figure): void {
  const all = read()
  const samples = all.filter(({ sysOnly }) => sysOnly !== true)
  // Not 0: nobody knows, or others say it.
  if (samples.length === 0 && (type === 'gauge' || all.length > 0)) return
  const labelNames = [...new Set(samples.flatMap(({ labels }) => (labels === undefined ? [] : Object.keys(labels))))]
  const config = { name: `mqttx_${name}`, help, labelNames, registers: [registry] }
  if (type === 'histogram') {
    registry.registerMetric(histogramOf(name, help, samples))
  } else if (type === 'counter') {
    const counter = new Counter(config)
    for (const { value, labels } of samples) counter.inc(labelsOf(labels), value)
  } else {
    const gauge = new Gauge(config)
    for (const { value, labels } of samples) gauge.set(labelsOf(labels), value)
  }
}

// prom-client's own histogram can only be told values one by one; what is counted elsewhere is shown by what it asks of any metric.
function histogramOf(name: string, help: string, samples: readonly Sample[]): Metric {
  const full = `mqttx_${name}`
  const values = samples.map(({ part, value, labels }) => ({ metricName: `${full}_${part}`, value, labels: labelsOf(labels) }))
  const metric = {
    name: full,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: () => ({ name: full, help, type: 'histogram', aggregator: 'sum', values }),
  }
  return metric as unknown as Metric
}

const labelsOf = (labels: Sample['labels']): Record<string, string> => ({ ...labels })
