import { defineConfig, definePlugin, Stage } from 'mqttx-broker'

/** Logs each subscription: a custom plugin, as small as they come. It only looks on. */
const watchSubscriptions = definePlugin({
  name: 'watchSubscriptions',
  options: {
    /** Only filters that begin with this are logged. */
    prefix: { type: 'string', default: '' },
  },
  apply({ hooks, log }, { prefix }) {
    hooks.onSubscribed.tap({ name: 'watchSubscriptions', stage: Stage.Observe }, (client, { filter, qos }) => {
      if (filter.startsWith(prefix)) log.info({ clientId: client.clientId, filter, qos }, 'subscribed')
    })
  },
})

// What `npx mqttx-broker` runs in this folder: one machine, no server beside it, TCP 1883 on loopback only until
// `allowAnonymous: true` or a plugin that authenticates says who may connect. `npx mqttx-broker check` prints every option.
export default defineConfig({
  preset: 'standalone',
  plugins: [watchSubscriptions()],
})
