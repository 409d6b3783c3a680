import { MqttError } from '../errors.ts'
import { ReasonCode } from '../reason.ts'
import type { Properties, UserProperty } from './packets.ts'
import { Reader } from './reader.ts'

/** User properties as they lie in a packet, each with its identifier in front: they have been checked, and nobody has asked for them yet. */
export interface UnreadUserProperties {
  readonly bytes: Buffer
  readonly count: number
  /** UTF-16 code units of all names and values. */
  readonly units: number
}

const unread = Symbol('user properties that nobody has read')

type Carrying = Properties & { [unread]?: UnreadUserProperties }

// One for all, so that V8 gives all properties that have it the same shape. Once read, they are a value like any other.
const accessor = {
  enumerable: true,
  configurable: true,
  get(this: Carrying): UserProperty[] {
    const list = read(this[unread]!.bytes)
    become(this, list)
    return list
  },
  set(this: Carrying, list: UserProperty[] | undefined) {
    become(this, list)
  },
}

function become(properties: Carrying, value: UserProperty[] | undefined): void {
  // Not where somebody has frozen them: there they are read each time.
  Reflect.defineProperty(properties, 'userProperties', { value, writable: true, enumerable: true, configurable: true })
}

function read(bytes: Buffer): UserProperty[] {
  const reader = new Reader()
  reader.reset(bytes, 0, bytes.length)
  const list: UserProperty[] = []
  while (reader.left > 0) {
    reader.byte()
    list.push([reader.text(), reader.text()])
  }
  return list
}

/** The user properties that nobody has asked for; null where there are none, or somebody has. */
export function unreadOf(properties: Properties): UnreadUserProperties | null {
  const given = (properties as Carrying)[unread]
  if (given === undefined) return null
  return Object.getOwnPropertyDescriptor(properties, 'userProperties')?.get === accessor.get ? given : null
}

/** The user properties of a packet that has many bytes of them, while it is read: they are checked, and made texts only when somebody asks. */
export class LongUserProperties {
  #count = 0
  #units = 0
  // Where in the packet the last run of them lies; most packets have one run.
  #from = 0
  #to = 0
  readonly #runs: Buffer[] = []

  /** Passes over one. */
  pass(reader: Reader): void {
    countUserProperty(this.#count++, reader)
    if (reader.at !== this.#to) {
      this.#endRun(reader)
      this.#from = reader.at
    }
    reader.at += 1
    this.#units += reader.passText() + reader.passText()
    this.#to = reader.at
  }

  #endRun({ bytes }: Reader): void {
    if (this.#to > this.#from) this.#runs.push(bytes.subarray(this.#from, this.#to))
  }

  /** Gives them to the properties of the packet, in a copy: its bytes are overwritten when it has been handled. */
  give(properties: Properties, reader: Reader): void {
    if (this.#count === 0) return
    this.#endRun(reader)
    const value: UnreadUserProperties = { bytes: Buffer.concat(this.#runs), count: this.#count, units: this.#units }
    Object.defineProperty(Object.defineProperty(properties, unread, { value }), 'userProperties', accessor)
  }
}

/** One more user property than so many may be too many. */
export function countUserProperty(before: number, { userPropertiesMax }: Reader): void {
  if (before >= userPropertiesMax)
    throw new MqttError(ReasonCode.QuotaExceeded, `more than ${userPropertiesMax} user properties in a packet (mqtt.userPropertiesMax)`)
}
