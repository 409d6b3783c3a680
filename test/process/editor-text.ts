/** What somebody types who writes a config and a plugin. The marks say where an editor is looked at. */
export const editorText = `
import { type AttachOptions, builtIn, type Config, createBroker, defineConfig, definePlugin, type Hooks } from 'mqttx-broker'
import type { TestBrokerOptions } from 'mqttx-broker/testing'

const greeter = definePlugin({
  name: 'greeter',
  options: {
    /** What is said. */
    greeting: { type: 'string', default: 'hello' },
    /** How often. */
    every: { type: 'duration', required: true },
    /** Whom it is said to. */
    whom: {
      type: 'object',
      properties: {
        /** Strangers, too. */
        strangers: { type: 'boolean', default: false },
      },
    },
  },
  apply({ hooks }, { /*received*/greeting, whom }) {
    hooks.onPublish.tap('greeter', (/*publisher*/publisher, message) => undefined)
    return { reload(/*reloaded*/options) {} }
  },
})

export default defineConfig({
  /*brokerId*/brokerId: 'one',
  mqtt: { /*receiveMaximum*/receiveMaximum: 10 },
  /*socket*/socket: { /*port*/port: 1883, tls: { /*cert*/cert: 'server.crt' } },
  limits: { memory: { /*max*/max: 'auto' } },
  plugins: [/*factory*/greeter({ /*greeting*/greeting: 'hi', every: '3s', whom: { /*strangers*/strangers: true } }), builtIn.mountpoint({ /*prefix*/prefix: 'a/' })],
})

const running = await createBroker().start()
await running./*attach*/attach(null as never, { /*path*/path: '/mqtt' })

declare const config: Required<Config>
declare const attaching: AttachOptions
declare const testing: TestBrokerOptions
declare const hooks: Hooks
export { attaching, config, hooks, testing }
`
