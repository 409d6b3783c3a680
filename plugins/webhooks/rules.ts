import { validateHeaderName, validateHeaderValue } from 'node:http'
import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { clientTls } from '../kit/client-tls.ts'
import { isLoopback } from '../kit/network.ts'
import { ruleFilterFault } from '../kit/topics.ts'
import type { webhooksManifest } from './manifest.ts'
import { secretsOf } from './signature.ts'

export type WebhooksOptions = OptionsOf<typeof webhooksManifest.options>
export type EndpointOptions = WebhooksOptions['endpoints'][number]
export type EventName = EndpointOptions['events'][number]
export type AckMode = 'none' | 'local' | 'remote'

/** Where an endpoint stands in the config, by its index. */
export const placeOf = (index: number): string => `webhooks.endpoints[${index}]`

/** What a publisher's acknowledgement waits for at an endpoint. */
export function ackOf({ ack }: EndpointOptions, hasQueue: boolean): AckMode {
  return ack ?? (hasQueue ? 'local' : 'remote')
}

/** The way of what is no message, for which no publisher waits: with the messages, unless those wait in memory for the server's answer. */
export function eventModeOf(options: EndpointOptions, hasQueue: boolean): AckMode {
  const ack = ackOf(options, hasQueue)
  if (ack !== 'remote') return ack
  return hasQueue ? 'local' : 'none'
}

// Those say how the request itself is read.
const ownHeaders = new Set(['content-length', 'transfer-encoding', 'connection', 'expect', 'upgrade', 'te', 'trailer', 'host'])

/** Whether what the endpoints name can be used. All that is wrong is thrown at once; warnings are returned. */
export async function verifyEndpoints(
  { endpoints }: WebhooksOptions,
  hasQueue: boolean,
  locate: (file: string) => string,
): Promise<string[]> {
  const problems: string[] = []
  const warnings: string[] = []
  const names = new Set<string>()
  for (const [index, options] of endpoints.entries()) {
    const at = placeOf(index)
    const { name, url, filters, events, ssl, body, ack, retryMin, retryMax } = options
    const attempt = async (look: () => unknown): Promise<void> => {
      try {
        await look()
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error
        problems.push(...error.problems)
      }
    }
    if (names.has(name)) problems.push(`${at}.name: two endpoints are called ${name}; give one another name`)
    names.add(name)
    if (!URL.canParse(url)) problems.push(`${at}.url: not a URL; write https://host/path`)
    else {
      const { protocol, hostname, username, password } = new URL(url)
      if (username !== '' || password !== '')
        problems.push(`${at}.url: holds a password, which log lines would show; write it into headers: { authorization: 'Basic …' }`)
      if (protocol === 'http:' && ssl.enable) problems.push(`${at}.ssl.enable: there is no TLS at an http: address; write https: into url`)
      else if (protocol === 'http:' && !isLoopback(hostname))
        warnings.push(
          `${at}.url: events go to ${hostname} readable for whoever is on the way; use https: there, or a proxy of this machine`,
        )
    }
    for (const [at2, filter] of filters.entries()) {
      const fault = ruleFilterFault(filter)
      if (fault !== null) problems.push(`${at}.filters[${at2}]: ${fault}`)
    }
    if (filters.length + events.length === 0) warnings.push(`${at}: nothing goes to ${name}; set filters, or events`)
    if (body === 'payload' && events.length > 0)
      problems.push(`${at}.body: only messages have a payload; leave events out, or set body: json`)
    if (ack === 'local' && !hasQueue) problems.push(`${at}.ack: local needs a queue on disk; add the section diskQueue, or set ack: remote`)
    if (retryMin > retryMax) problems.push(`${at}.retryMin: it is longer than retryMax; make it shorter`)
    problems.push(...headerFaults(options.headers, at))
    await attempt(() => secretsOf(options, at, locate))
    await attempt(() => clientTls(`${at}.ssl`, ssl, locate))
    if ((ssl.cert === undefined) !== (ssl.key === undefined))
      problems.push(`${at}.ssl: a certificate and its key go together; set both cert and key`)
  }
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  return warnings
}

function headerFaults(headers: Readonly<Record<string, string>>, at: string): string[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    } catch {
      return [`${at}.headers: ${JSON.stringify(name)} is no header, or its value cannot be sent; correct it`]
    }
    const own = name.toLowerCase()
    if (!ownHeaders.has(own) && !/^(webhook-|mqtt-)/.test(own)) return []
    return [`${at}.headers: ${name} is the broker's own; leave it out`]
  })
}
