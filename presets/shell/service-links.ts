import { isIP } from 'node:net'

const isPort = (text: string): boolean => /^\d+$/.test(text)
const isLink = (text: string): boolean => /^(tcp|udp|sctp):\/\//.test(text)
const isProtocol = (text: string): boolean => /^(tcp|udp|sctp)$/.test(text)

// By what follows on the name of the service, and what Kubernetes (and Docker's links, from which it has them) puts there.
const kinds: readonly (readonly [RegExp, (text: string) => boolean])[] = [
  [/_SERVICE_HOST$/, text => isIP(text) !== 0],
  [/_SERVICE_PORT(_[A-Z0-9_]+)?$/, isPort],
  [/_PORT$/, isLink],
  [/_PORT_\d+_(TCP|UDP|SCTP)$/, isLink],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PROTO$/, isProtocol],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PORT$/, isPort],
  [/_PORT_\d+_(TCP|UDP|SCTP)_ADDR$/, text => isIP(text) !== 0],
]

/**
 * Whether an environment variable that no option has is one that Kubernetes puts into every pod beside a service called `mqttx`, or `mqttx-` and more:
 * `MQTTX_PORT=tcp://10.0.0.1:1883`. The value has to be one, too, so that a typing error is still one.
 */
export function isServiceLink(name: string, text: string): boolean {
  return !name.includes('__') && kinds.some(([pattern, fits]) => pattern.test(name) && fits(text))
}

/** What is said of those that were passed over. */
export function passedOver(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ')
  const rest = names.length > 3 ? ` and ${names.length - 3} more` : ''
  return `${shown}${rest} in the environment: Kubernetes says there where a service is, so no option is set by them; enableServiceLinks: false in the pod's spec leaves them out`
}
