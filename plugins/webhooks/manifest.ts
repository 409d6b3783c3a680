import { clientTlsOptions } from '../kit/client-tls-options.ts'
import { defineManifest } from '../kit/define-manifest.ts'

/**
 * Posts messages and what happens to clients and sessions to HTTP servers, by rules. What waits is kept in `diskQueue`, where that is on. Each node, and each worker, posts what
 * its own clients do.
 */
export const webhooksManifest = defineManifest({
  name: 'webhooks',
  provides: ['webhooks'],
  dropReasons: ['webhookFull', 'webhookRefused'],
  options: {
    /** Where events go: one URL each, with what goes there. */
    endpoints: {
      type: 'list',
      default: [],
      items: {
        type: 'object',
        properties: {
          /** What the endpoint is called in log lines, figures and queues: letters, digits, `.`, `_` and `-`. What waits on disk is found again by it. */
          name: { type: 'string', required: true, pattern: '^[A-Za-z0-9._-]{1,64}$' },
          /** Where requests go: `https://host/path`. Redirects are not followed. */
          url: { type: 'string', required: true, pattern: '^https?://' },
          /** The messages that go there: topic filters. `#` matches no `$SYS/…`, as in MQTT. */
          filters: { type: 'list', items: { type: 'string', minLength: 1 }, default: [] },
          /** What else goes there. `message.dropped` comes at most once in ten seconds for each client and reason, with a count. */
          events: {
            type: 'list',
            items: {
              type: 'string',
              enum: [
                ...(['client.connected', 'client.disconnected', 'session.created', 'session.ended'] as const),
                ...(['session.subscribed', 'session.unsubscribed', 'message.dropped'] as const),
              ],
            },
            default: [],
          },
          /** What a request carries: a JSON array of events, or the payload of one message as it was published, with what else there is to know of it in headers. */
          body: { type: 'string', enum: ['json', 'payload'], default: 'json' },
          /** The method of requests. */
          method: { type: 'string', enum: ['POST', 'PUT'], default: 'POST' },
          /** What a publisher's acknowledgement waits for: nothing; the local queue on disk (plugin `diskQueue`); or the answer of the server. `local` where there is such a queue, else `remote`, where nothing is said. */
          ack: { type: 'string', enum: ['none', 'local', 'remote'] },
          /** Headers that go with every request: an API key, say. */
          headers: { type: 'object', values: { type: 'string', secret: true }, default: {}, secret: true },
          /** The secret that requests are signed with (HMAC-SHA256, as Standard Webhooks has it): any text, or bytes in base64 behind `whsec_`. Not signed where there is none. */
          secret: { type: 'string', secret: true, minLength: 1 },
          /** A file with the secret, relative to the config's folder, read again for each request. Several lines are several secrets, while receivers change from one to another: requests have a signature by each. */
          secretFile: { type: 'string', minLength: 1, secretFile: true },
          /** The environment variable with the secret. */
          environmentVariable: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' },
          /** TLS towards the server, which `https:` turns on. Files are PEM, relative to the config's folder, and read again for each connection. */
          ssl: { type: 'object', properties: clientTlsOptions },
          /** The time that the server has for one request, from its beginning until the whole answer is there. */
          timeout: { type: 'duration', default: '10s', minimum: 100 },
          /** Requests side by side, and connections, which stay open. Events of one client take one lane and keep their order. */
          lanes: { type: 'integer', minimum: 1, maximum: 64, default: 1 },
          /** How long a request waits for more events. */
          linger: { type: 'duration', default: '50ms' },
          /** Events in a request at most; one, where the body is `payload`. */
          batchMessages: { type: 'integer', minimum: 1, maximum: 10_000, default: 100 },
          /** Bytes in a request at most, before they are written as JSON. */
          batchBytes: { type: 'bytes', minimum: 1024, default: '256KiB' },
          /** The pause before a request is sent again; it doubles up to `retryMax`, and a quarter of it is chance. */
          retryMin: { type: 'duration', default: '500ms', minimum: 10 },
          /** The longest pause between two attempts, unless the server names a longer one (`Retry-After`). */
          retryMax: { type: 'duration', default: '30s', minimum: 10 },
          /** The longest pause that `Retry-After` may ask for. */
          retryAfterMax: { type: 'duration', default: '1h' },
          /** Statuses from 400 to 499 that say nothing against what was sent, so that it is sent again. Every other one of them refuses it. */
          retryStatuses: { type: 'list', items: { type: 'integer', minimum: 400, maximum: 499 }, default: [408, 425, 429] },
          /** Events that wait in memory, for each lane. */
          memoryMessages: { type: 'integer', minimum: 1, default: 10_000 },
          /** Bytes that wait in memory, for each lane. */
          memoryBytes: { type: 'bytes', minimum: 1024, default: '16MiB' },
          /** Bytes that wait on disk, for each lane, where there is a queue on disk. */
          queueBytes: { type: 'bytes', minimum: 1024, default: '1GiB' },
          /** What happens to an event when everything is full: it is refused (the publisher of a QoS 1 or 2 message is told 0x97; before MQTT 5 it is disconnected so that it sends again; all else is dropped), or the oldest that waits is dropped for it, but never one that a publisher still waits for. */
          whenFull: { type: 'string', enum: ['refuse', 'dropOldest'], default: 'refuse' },
          /** What becomes of what the server refuses though it was acknowledged (where there is a queue on disk): it is kept there; it is kept, and all that is kept is sent once more at each start; or what is kept is dropped, and so is other such from then on. */
          parked: { type: 'string', enum: ['keep', 'resend', 'drop'], default: 'keep' },
          /** Bytes of these that are kept. Beyond, they are dropped, counted and said. */
          parkedBytes: { type: 'bytes', minimum: 1024, default: '64MiB' },
        },
      },
    },
    /** How long the broker tries, when it stops, to send what waits in memory. What is left goes to the queue on disk, or is dropped and counted. */
    stopTimeout: { type: 'duration', default: '5s', maximum: '9s' },
  },
})

declare module '../../core/counter-names.js' {
  interface DropCounts {
    /** A webhook has no room for a message; the client id is `webhook:` and the endpoint's name. */
    webhookFull: number
    /** The server behind a webhook will never take a message; the client id is the same. */
    webhookRefused: number
  }
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** `check --connect`: the server of a webhook does not answer. */
    ERR_WEBHOOK: true
  }
}
