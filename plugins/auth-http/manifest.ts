import { defineManifest } from '../kit/define-manifest.ts'

/** Asks an HTTP service who may connect, by the contract of the Java mqttx: POST `{clientId, username, password}`, 200 admits with `{authorizedSub, authorizedPub}`. */
export const authHttpManifest = defineManifest({
  name: 'authHttp',
  grantsRights: true,
  options: {
    /** Where the service is: `http://…` or `https://…`. */
    url: { type: 'string', required: true, pattern: '^https?://' },
    /** How long an answer may take, the wait for a free connection included; then the client is told that the server is unavailable. Shorter than `mqtt.verdictTimeout`. */
    timeout: { type: 'duration', default: '3s', minimum: 1 },
    /** Questions under way at once, and connections to the service, which stay open for the next ones. */
    concurrent: { type: 'integer', default: 32, minimum: 1, maximum: 10_000 },
    /** Clients that may wait for their question to be asked; more are told that the server is busy. */
    waiting: { type: 'integer', default: 1000, minimum: 0, maximum: 100_000 },
    /** How long an admission answers the same question again, without the service: a right that was taken away there lives so much longer here. `0s`: every question is asked. */
    cache: { type: 'duration', default: '0s' },
    /** Admissions that are kept for that, at most. */
    cacheMax: { type: 'integer', default: 10_000, minimum: 1 },
    /** Headers that go with every question: a key by which the service knows the broker. */
    headers: { type: 'object', values: { type: 'string', secret: true }, default: {}, secret: true },
  },
})
