/** One value of a figure. */
export interface Sample {
  /** The value, in the unit that the name of the figure says. */
  readonly value: number
  /** What tells it from the figure's other values: `{ target: 'kafka' }`. */
  readonly labels?: Readonly<Record<string, string>>
  /** Where `$SYS` shows it, below `$SYS/broker/`: `bridge/kafka/messages/sent`. Nowhere, where it is left out. */
  readonly sys?: string
  /** Another node says it itself, or it is a sum over nodes: only `$SYS` shows it, and `/metrics` does not. Default: false. */
  readonly sysOnly?: boolean
  /** The part of a histogram that this value is; a bucket has its bound as label `le`. Left out: the figure is no histogram. */
  readonly part?: 'bucket' | 'sum' | 'count'
}

/** A number that a plugin offers to whoever shows numbers: `metrics`, `$SYS`. It is read when it is asked for, and costs nothing else. */
export interface Figure {
  /** As Prometheus names it, without the prefix `mqttx_`: `bridge_sent_messages_total`. A counter ends with `_total`, a unit stands before it. */
  readonly name: string
  /** What the figure says, in one sentence, for `/metrics`. */
  readonly help: string
  /** A counter only grows, a gauge goes up and down; a histogram is best made by a `Timing`. */
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** The values, now. Called only when somebody asks; must not take long. */
  read(): readonly Sample[]
}

const shape = /^[a-z][a-z0-9_]*$/

/** All figures that plugins offer. */
export class Figures {
  readonly #figures = new Map<string, Figure>()

  /** Offers one; returns what takes it away again. Two of one name are a mistake of the plugin's. */
  add(figure: Figure): () => void {
    const { name } = figure
    if (!shape.test(name)) throw new TypeError(`figures: a name is lower case with _ between its parts, got ${JSON.stringify(name)}`)
    if (this.#figures.has(name)) throw new TypeError(`figures: there is a ${name} already; choose another name`)
    this.#figures.set(name, figure)
    return () => {
      if (this.#figures.get(name) === figure) this.#figures.delete(name)
    }
  }

  [Symbol.iterator](): IterableIterator<Figure> {
    return this.#figures.values()
  }
}

declare module '../../core/broker.js' {
  interface Broker {
    /** Numbers that plugins offer. */
    readonly figures: Figures
  }
}
