import { isIP } from 'node:net'
import { networkOf, plainAddress, readNetwork } from '../kit/network.ts'

/** An address or a network as it is written once and for all: `10.1.0.0/16`, `10.1.2.3`, `2001:db8:0:0::/64`; null: it is none. */
export function normalNetwork(text: string): string | null {
  const network = readNetwork(text)
  return network === null ? null : keyOf(network.address, network.version, network.prefix)
}

/** Networks of any size, each with something; what an address lies in is found by one look for each size that occurs. */
export class NetworkSet<T> {
  readonly #items = new Map<string, T>()
  // How many networks there are of each size; by version and prefix.
  readonly #sizes = new Map<string, { readonly version: number; readonly prefix: number; count: number }>()

  get size(): number {
    return this.#items.size
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#items.values()
  }

  /** `network`: as `normalNetwork` writes it. */
  set(network: string, item: T): void {
    if (!this.#items.has(network)) {
      const { id, version, prefix } = sizeOf(network)
      const known = this.#sizes.get(id)
      if (known === undefined) this.#sizes.set(id, { version, prefix, count: 1 })
      else known.count += 1
    }
    this.#items.set(network, item)
  }

  delete(network: string): void {
    if (!this.#items.delete(network)) return
    const { id } = sizeOf(network)
    const known = this.#sizes.get(id)!
    known.count -= 1
    if (known.count === 0) this.#sizes.delete(id)
  }

  /** What stands for a network that the address lies in; `undefined`: it lies in none, or is no IP address. */
  find(address: string): T | undefined {
    if (this.#items.size === 0) return undefined
    const plain = plainAddress(address)
    const version = isIP(plain)
    for (const size of this.#sizes.values()) {
      if (size.version !== version) continue
      const found = this.#items.get(keyOf(plain, version, size.prefix))
      if (found !== undefined) return found
    }
    return undefined
  }
}

function sizeOf(network: string): { id: string; version: number; prefix: number } {
  const slash = network.indexOf('/')
  const version = network.includes(':') ? 6 : 4
  const prefix = slash === -1 ? 32 : Number(network.slice(slash + 1))
  return { id: `${version}/${prefix}`, version, prefix }
}

function keyOf(plain: string, version: number, prefix: number): string {
  if (version === 6) return networkOf(plain, prefix)
  if (prefix === 32) return plain
  const bits = plain.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const kept = prefix === 0 ? 0 : Math.floor(bits / 2 ** (32 - prefix)) * 2 ** (32 - prefix)
  return `${[24, 16, 8, 0].map(shift => Math.floor(kept / 2 ** shift) % 256).join('.')}/${prefix}`
}
