import { isUtf8 } from 'node:buffer'
import { OperatorError } from '../../core/errors.ts'
import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Admission, Refusal } from '../../core/refusals.ts'
import { addCache } from '../kit/bounded-cache.ts'
import { Limiter } from '../kit/limiter.ts'
import { isLoopback } from '../kit/network.ts'
import { formatDuration } from '../kit/options/quantity.ts'
import { AdmissionCache } from './admission-cache.ts'
import { rightsOf } from './answer.ts'
import { AuthService } from './auth-service.ts'
import { authHttpManifest } from './manifest.ts'
import { OutageLog } from './outage-log.ts'

const refused: Refusal = { reasonCode: ReasonCode.BadUserNameOrPassword, reasonString: 'the authentication service refused' }
// By the contract this is a refusal like any other; but a service that fails is no sign of guessing.
const refusedInOutage: Refusal = { ...refused, blameless: true }
const unavailable: Refusal = {
  reasonCode: ReasonCode.ServerUnavailable,
  reasonString: 'the authentication service is away',
  blameless: true,
}
const busy: Refusal = { reasonCode: ReasonCode.ServerBusy, reasonString: 'too many clients wait to be authenticated', blameless: true }

/** Lets in whom an HTTP service admits, with the rights that it gives. */
export const authHttp = definePlugin(
  authHttpManifest,
  ({ hooks, broker, clock, log }, { url, timeout, concurrent, waiting, cache: ttlMs, cacheMax, headers }) => {
    checkUrl(url)
    const { verdictTimeout } = broker.settings.mqtt
    if (timeout >= verdictTimeout) {
      const limit = formatDuration(verdictTimeout)
      throw new OperatorError(
        'ERR_CONFIG',
        `authHttp.timeout: ${formatDuration(timeout)} is not shorter than mqtt.verdictTimeout (${limit}), which would cut it off; lower it, or raise that`,
      )
    }
    const service = new AuthService({ url, headers, concurrent, clock })
    const cache = new AdmissionCache(clock, ttlMs, cacheMax)
    addCache(broker, 'authHttp', () => cache)
    const limiter = new Limiter({ clock, concurrent, waiting, waitMs: timeout })
    const outage = new OutageLog(log, clock)

    const ask = async (question: string, timeoutMs: number): Promise<Admission | Refusal> => {
      let status: number
      try {
        const answer = await service.ask(question, timeoutMs)
        status = answer.status
        if (status === 200) {
          const rights = rightsOf(answer.body)
          cache.keep(question, rights)
          outage.answered()
          return { rights }
        }
      } catch (error) {
        // JSON.parse quotes what it read, and that is nobody's business.
        outage.failed(error instanceof SyntaxError ? 'its answer is not JSON' : messageOf(error as NodeJS.ErrnoException))
        return unavailable
      }
      if (status >= 500) {
        outage.failed(`status ${status}`)
        return refusedInOutage
      }
      outage.answered()
      return refused
    }

    hooks.onAuthenticate.tapPromise('authHttp', async (client, { username = null, password }): Promise<Admission | Refusal> => {
      // JSON carries text: of other bytes it would make the same replacement characters, and so one password of many.
      if (password !== undefined && !isUtf8(password)) return refused
      const question = JSON.stringify({ clientId: client.clientId, username, password: password?.toString('utf8') ?? null })
      const rights = cache.find(question)
      if (rights !== undefined) return { rights }
      const since = clock.now()
      const entering = limiter.enter()
      if (entering === false) return busy
      if (entering !== true && !(await entering)) return unavailable
      try {
        // Whoever has gone meanwhile asks nothing.
        if (client.closed) return unavailable
        return await ask(question, timeout - (clock.now() - since))
      } finally {
        limiter.leave()
      }
    })

    return {
      verify() {
        const { protocol, hostname } = new URL(url)
        if (protocol === 'https:' || isLoopback(hostname)) return []
        return [
          `authHttp.url: passwords go to ${hostname} readable for whoever is on the way; use https: there, or a proxy of this machine`,
        ]
      },
      stop: () => service.close(),
    }
  },
)

function checkUrl(url: string): void {
  if (!URL.canParse(url)) throw new OperatorError('ERR_CONFIG', 'authHttp.url: not a URL; write http://host:port/path')
}

function messageOf({ code, message }: NodeJS.ErrnoException): string {
  return code === undefined || message.includes(code) ? message : `${message} (${code})`
}
