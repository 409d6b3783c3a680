import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'
import { OperatorError } from '../../core/errors.ts'

const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** An address without its zone, and an IPv4 address as such where it is written as IPv6 (`::ffff:10.0.0.1`). Anything else is as it was. */
export function plainAddress(address: string): string {
  const zone = address.indexOf('%')
  const plain = zone === -1 ? address : address.slice(0, zone)
  return mapped.exec(plain)?.[1] ?? plain
}

/**
 * What counts as one address, for limits and against guessing: an IPv4 address, however it is written; an IPv6 network of so many bits (64, unless
 * it is said), because a customer is given a whole one; anything else, the path of a Unix socket for one, as it is.
 */
export function networkOf(address: string, ipv6Prefix = 64): string {
  const plain = plainAddress(address)
  if (isIPv4(plain)) return plain
  if (!isIPv6(plain)) return address
  const kept: string[] = []
  const groups = groupsOf(plain)
  for (let i = 0, left = ipv6Prefix; left > 0; i++, left -= 16) {
    const mask = left >= 16 ? 0xffff : (0xffff << (16 - left)) & 0xffff
    kept.push((groups[i]! & mask).toString(16))
  }
  return `${kept.join(':')}${kept.length < 8 ? '::' : ''}/${ipv6Prefix}`
}

/** The eight groups of an IPv6 address that is known to be one. */
function groupsOf(address: string): number[] {
  const [front = '', back] = address.split('::')
  const before = numbersOf(front)
  if (back === undefined) return before
  const after = numbersOf(back)
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
}

function numbersOf(part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap(group => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  })
}

/** Whether a host name or an address is this machine's own: `localhost`, `127.0.0.0/8`, also as `::ffff:127.0.0.1`, and `::1`, in brackets too. */
export function isLoopback(host: string): boolean {
  const lower = host.toLowerCase()
  const name = mapped.exec(lower)?.[1] ?? lower
  return name === 'localhost' || name === '::1' || name === '[::1]' || (name.startsWith('127.') && isIPv4(name))
}

/** An address, or a network, as somebody has written it. */
export interface Network {
  /** Without zone, and an IPv4 address as such. */
  readonly address: string
  /** Of IP. */
  readonly version: 4 | 6
  /** How many bits of the address count; of a single one all. */
  readonly prefix: number
}

/** Reads `10.1.2.3`, `10.1.0.0/16`, `2001:db8::/64`, `::ffff:10.1.0.0/112`; null: it is none of these. */
export function readNetwork(text: string): Network | null {
  const slash = text.indexOf('/')
  const written = slash === -1 ? text : text.slice(0, slash)
  const address = plainAddress(written)
  const version = isIP(address)
  if (version !== 4 && version !== 6) return null
  const bits = version === 4 ? 32 : 128
  if (slash === -1) return { address, version, prefix: bits }
  const digits = text.slice(slash + 1)
  if (!/^\d{1,3}$/.test(digits)) return null
  // Of an IPv4 address in the form of IPv6 the bits are those of that form.
  const prefix = Number(digits) - (version === 4 && written.includes(':') ? 96 : 0)
  return prefix < 0 || prefix > bits ? null : { address, version, prefix }
}

/** Addresses and networks that a config names: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`, `localhost`, and `unix` for whoever comes by a Unix socket. */
export class AddressList {
  readonly #addresses: BlockList
  readonly #unix: boolean

  /** Throws an `OperatorError` for what is no address. `at`: the option, for the message. */
  constructor(entries: readonly string[], at: string) {
    this.#addresses = new BlockList()
    this.#unix = entries.includes('unix')
    for (const [index, entry] of entries.entries()) {
      if (entry === 'unix') continue
      if (!this.#add(entry)) {
        throw new OperatorError(
          'ERR_CONFIG',
          `${at}[${index}]: ${entry} is no address; write 10.0.0.1, a network as in 10.0.0.0/8 or fd00::/8, localhost, or unix for Unix sockets`,
        )
      }
    }
  }

  #add(entry: string): boolean {
    if (entry === 'localhost') return this.#add('127.0.0.0/8') && this.#add('::1')
    const network = readNetwork(entry)
    if (network === null) return false
    this.#addresses.addSubnet(network.address, network.prefix, network.version === 4 ? 'ipv4' : 'ipv6')
    return true
  }

  /** Whether the address is among them; `undefined` is the other side of a Unix socket. */
  has(address: string | undefined): boolean {
    if (address === undefined) return this.#unix
    const plain = plainAddress(address)
    const family = isIP(plain)
    return family !== 0 && this.#addresses.check(plain, family === 4 ? 'ipv4' : 'ipv6')
  }
}
