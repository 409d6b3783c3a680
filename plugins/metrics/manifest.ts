import { defineManifest } from '../kit/define-manifest.ts'

/** `/metrics` for Prometheus, `/livez` and `/readyz` for whoever watches over the process. Nobody has to log in to them, so they are on loopback unless you say otherwise. */
export const metricsManifest = defineManifest({
  name: 'metrics',
  options: {
    /** The address to bind to; `0.0.0.0` lets a Prometheus on another machine, or an orchestrator, ask. */
    host: { type: 'string', minLength: 1, default: '127.0.0.1' },
    /** Names and addresses that may stand in a request's `Host`, beside those of loopback. `null`: those of loopback only where `host` is one, any elsewhere. */
    hosts: { type: 'list', items: { type: 'string', minLength: 1 }, default: null },
    /** The port; 0 picks a free one. */
    port: { type: 'integer', minimum: 0, maximum: 65_535, default: 9464 },
    /** When `/readyz` says 200: `store`, only while the session store answers; `serving`, also while it does not, where clients with clean sessions are served then. `serving` in a cluster that serves those (`cluster.onRedisLoss`), else `store`, where nothing is said. */
    ready: { type: 'string', enum: ['store', 'serving'], default: null },
    /** The path of the metrics. */
    path: { type: 'string', pattern: '^/.+$', default: '/metrics' },
    /** Whether `/readyz` answers 200 while the store is full. Whoever drains it must get in, so it does unless you say `false`; then it answers 503. Either way its text says `store full`. */
    readyWhenStoreFull: { type: 'boolean', default: true },
    /** Whether the metrics of Node's own (`process_…`, `nodejs_…`: memory, event loop, garbage collection) go along. */
    node: { type: 'boolean', default: true },
  },
})
