import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Broker } from '../../../core/broker.ts'
import { OperatorError } from '../../../core/errors.ts'

interface Claim {
  readonly at: string
  readonly host: string
  readonly port: number
}

const claims = new WeakMap<Broker, Claim[]>()
// The right to listen on ports of the administrator, as Linux counts rights.
const bindRight = 10n

/** Sees, without opening anything, whether a server could listen there; what hinders it is an `OperatorError` with its cure. `at`: where its options stand. */
export function verifyPlace(broker: Broker, host: string, port: number, at: string): void {
  const foreign = foreignHost(host)
  if (foreign) throw noSuchHost(host, at)
  if (port === 0) return
  if (port < unprivilegedFrom() && !mayBindAll()) throw forbidden(port, at)
  const known = claims.get(broker) ?? []
  claims.set(broker, known)
  const other = known.find(claim => claim.port === port && overlap(claim.host, host) && claim.at !== at)
  if (other !== undefined) {
    throw new OperatorError(
      'ERR_PORT_IN_USE',
      `${at}.port: ${port} on ${host} is wanted by ${other.at}, too; choose another with ${choice(at)}`,
    )
  }
  known.push({ at, host, port })
}

/** The host that a listener names is none of this machine's. */
export function noSuchHost(host: string, at: string, cause?: Error): OperatorError {
  return new OperatorError('ERR_HOST', `host: ${host} is not an address of this machine; set host or ${at}.host to one that is`, { cause })
}

/** A port for which this user lacks the rights. */
export function forbidden(port: number, at: string, cause?: Error): OperatorError {
  const text = `${at}.port: ${port} needs more rights than this user has; choose one above 1023 with ${choice(at)}`
  return new OperatorError('ERR_PORT_FORBIDDEN', text, { cause })
}

/** How another port is chosen. */
export function choice(at: string): string {
  return at === 'socket' ? '--port' : at.endsWith(']') ? `${at}.port` : `--set ${at}.port=N`
}

// Names are left to the start, as they have to be looked up.
function foreignHost(host: string): boolean {
  // Names last: whether a text is an IPv6 address costs 13 ms the first time.
  if (isWildcard(host) || host.startsWith('127.') || host === '::1' || host === 'localhost' || isIP(host) === 0) return false
  const own = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? [])
  if (own.some(({ address }) => address === host.replace(/%.*$/, ''))) return false
  return setting('/proc/sys/net/ipv4/ip_nonlocal_bind') !== '1' && isIP(host) === 4
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

function overlap(a: string, b: string): boolean {
  if (a === b || a === '::' || b === '::') return true
  return (a === '0.0.0.0' && isIP(b) === 4) || (b === '0.0.0.0' && isIP(a) === 4)
}

function unprivilegedFrom(): number {
  if (process.platform !== 'linux') return 0
  return Number(setting('/proc/sys/net/ipv4/ip_unprivileged_port_start') ?? 1024)
}

function mayBindAll(): boolean {
  const rights = /^CapEff:\s*([0-9a-f]+)$/m.exec(setting('/proc/self/status') ?? '')?.[1]
  return rights === undefined || ((BigInt(`0x${rights}`) >> bindRight) & 1n) === 1n
}

function setting(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
