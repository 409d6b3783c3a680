import type { Client } from '../../core/connection/client.ts'
import type { PluginContext } from '../../core/context.ts'
import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { definePlugin } from '../../core/plugin.ts'
import type { Rights } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Admission, AuthStep, Refusal } from '../../core/refusals.ts'
import { alarmsOf } from '../kit/alarms.ts'
import { isLoopback } from '../kit/network.ts'
import { formatDuration } from '../kit/options/quantity.ts'
import { ClaimTemplate } from './claim-template.ts'
import { keySourceOf } from './key-source.ts'
import { authJwtManifest } from './manifest.ts'
import { RemoteKeys } from './remote-keys.ts'
import { looksLikeToken, type TokenPlaces, tokenOf } from './token-places.ts'
import { type TokenTerms, verifyToken } from './verify-token.ts'

type Options = OptionsOf<typeof authJwtManifest.options>

const away: Refusal = { reasonCode: ReasonCode.ServerUnavailable, reasonString: 'the keys of tokens cannot be read', blameless: true }
const userNameBytesMax = 65_535

/** Lets in whoever brings a good token, with the name and the rights that it says, for as long as it is good. */
export const authJwt = definePlugin(authJwtManifest, (context, options) => {
  const { hooks, broker, clock } = context
  checkTimes(options, broker.settings.mqtt.verdictTimeout)
  const source = keySourceOf(context, options)
  const terms: TokenTerms = {
    algorithms: source.algorithms,
    issuer: options.issuer === null ? null : [options.issuer].flat(),
    audience: options.audience === null ? null : [options.audience].flat(),
    leewayMs: options.leeway,
  }
  const { from, cookie, query, cookieOrigins, method } = options
  const places: TokenPlaces = { from, header: options.header.toLowerCase(), cookie, query, cookieOrigins }
  const username = template('username', options.username)
  if (username.isList) throw new OperatorError('ERR_CONFIG', `authJwt.username: ${username.source} stands for filters; write {claim}`)
  const publish = options.publish?.map((text, index) => template(`publish[${index}]`, text)) ?? null
  const subscribe = options.subscribe?.map((text, index) => template(`subscribe[${index}]`, text)) ?? null
  // Also where none is looked for there: whoever puts it into the wrong field must not find it in the log.
  broker.secretUsernames.add(looksLikeToken)
  tellFigures(context, source)

  hooks.onAuthenticate.tapPromise('authJwt', async (client, connect): Promise<Admission | Refusal | undefined> => {
    const token = tokenOf(places, connect, client.transport.request)
    if (token === undefined) return undefined
    if (options.notTokens === 'pass' && !looksLikeToken(token)) return undefined
    return admit(token)
  })

  // CONNECT with the Authentication Method, and the AUTH by which a client brings its next token.
  hooks.onAuth.tapPromise('authJwt', async (client, { properties }): Promise<AuthStep | undefined> => {
    if (method === null || properties?.authenticationMethod !== method) return undefined
    const given = properties.authenticationData?.toString('latin1')
    const token = given ?? tokenOf(places, null, client.transport.request)
    if (token === undefined) return refusal('there is no token in the Authentication Data')
    const admission = await admit(token)
    if ('reasonCode' in admission) return admission
    // Another user's token would hand over the session, and all that waits in it.
    if (isConnected(client) && admission.username !== client.username)
      return { reasonCode: ReasonCode.NotAuthorized, reasonString: 'this is a token of another user' }
    return { admission }
  })

  async function admit(token: string): Promise<Admission | Refusal> {
    const verified = await verifyToken(token, wish => source.keys.find(wish), terms, clock.moment().wall)
    if (verified === 'away') return away
    if ('refused' in verified) return refusal(verified.refused)
    const { payload } = verified
    const name = username.text(payload)
    if ('missing' in name) return refusal(`the token has no claim ${name.missing} to make a user name of`)
    if (Buffer.byteLength(name.text) > userNameBytesMax) return refusal('the user name that the token makes is too long')
    const authorizedPub = filtersOf(publish)
    const authorizedSub = filtersOf(subscribe)
    if (authorizedPub === null || authorizedSub === null) return refusal('a claim of the token makes no topic filter')
    const rights: Rights = {
      ...(authorizedPub === undefined ? {} : { authorizedPub }),
      ...(authorizedSub === undefined ? {} : { authorizedSub }),
    }
    // As long as a new connection would get in by it. What the wall clock says may change: the broker sees to that.
    const expiresAt = Math.min(payload.exp * 1000 + options.leeway, 8.64e15)
    return { username: name.text, expiresAt, ...(publish === null && subscribe === null ? {} : { rights }) }

    function filtersOf(templates: readonly ClaimTemplate[] | null): string[] | null | undefined {
      if (templates === null) return undefined
      const lists = templates.map(one => one.filters(payload))
      return lists.includes(null) ? null : [...new Set(lists.flat() as string[])]
    }
  }

  return {
    async verify() {
      await source.keys.verify()
      return warningsOf(options)
    },
    start: () => source.keys.start(),
    reread: () => source.keys.reread(),
    stop() {
      broker.secretUsernames.delete(looksLikeToken)
      source.keys.stop()
    },
    ...(source.keys instanceof RemoteKeys ? { probe: async () => [await (source.keys as RemoteKeys).probe()] } : {}),
  }
})

function refusal(reasonString: string): Refusal {
  return { reasonCode: ReasonCode.BadUserNameOrPassword, reasonString }
}

function isConnected({ state }: Client): boolean {
  return state === 'connected'
}

function template(option: string, text: string): ClaimTemplate {
  try {
    return ClaimTemplate.parse(text)
  } catch (cause) {
    throw new OperatorError('ERR_CONFIG', `authJwt.${option}: ${(cause as Error).message}`, { cause })
  }
}

function checkTimes({ timeout, staleFor, refreshEvery, jwks }: Options, verdictTimeout: number): void {
  if (jwks === null) return
  if (timeout >= verdictTimeout) {
    const limit = formatDuration(verdictTimeout)
    const text = `authJwt.timeout: ${formatDuration(timeout)} is not shorter than mqtt.verdictTimeout (${limit}), which would cut it off; lower it, or raise that`
    throw new OperatorError('ERR_CONFIG', text)
  }
  if (staleFor < refreshEvery)
    throw new OperatorError(
      'ERR_CONFIG',
      `authJwt.staleFor: ${formatDuration(staleFor)} is less than authJwt.refreshEvery (${formatDuration(refreshEvery)}); raise it, or lower that`,
    )
}

function warningsOf({ jwks, audience, secret }: Options): string[] {
  const warnings: string[] = []
  if (jwks !== null) {
    const { protocol, hostname } = new URL(jwks)
    if (protocol === 'http:' && !isLoopback(hostname))
      warnings.push(`authJwt.jwks: whoever is on the way to ${hostname} can put keys of their own in place of the issuer's; use https:`)
  }
  if (audience === null && secret === null)
    warnings.push('authJwt.audience: a token that the issuer made for any other service lets in here, too; name the audience of this one')
  return warnings
}

function tellFigures({ broker }: PluginContext, { keys }: ReturnType<typeof keySourceOf>): void {
  broker.figures.add({
    name: 'auth_jwt_keys',
    type: 'gauge',
    help: 'Keys that tokens are checked with.',
    read: () => [{ value: keys.count }],
  })
  if (!(keys instanceof RemoteKeys)) return
  const reads = () => [
    { value: keys.reads, labels: { result: 'read' } },
    { value: keys.failures, labels: { result: 'failed' } },
  ]
  broker.figures.add({
    name: 'auth_jwt_jwks_reads_total',
    type: 'counter',
    help: 'How often the keys at authJwt.jwks were asked for.',
    read: reads,
  })
  const misses = () => [{ value: keys.missesUnasked }]
  const help = 'Tokens of keys that are not known, refused without asking authJwt.jwks, which was asked a short time before.'
  broker.figures.add({ name: 'auth_jwt_misses_unasked_total', type: 'counter', help, read: misses })
  alarmsOf(broker).watch('jwksAway', () =>
    keys.trouble === null ? null : `the keys of tokens at ${keys.place} cannot be read: ${keys.trouble}`,
  )
}
