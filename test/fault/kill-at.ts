/**
 * A plugin that kills its own broker at the FAULT_KILL_AT-th point after the first message has come. A point lies behind each write to the session store that is done, and behind each write to a
 * socket. It is text, because the broker that is to be killed loads it from a file, and the package's own files are joined.
 */
export const killAt = `
const writes = ['claim', 'append', 'send', 'ack', 'remove', 'release', 'forget', 'subscribe', 'close']
const at = Number(process.env.FAULT_KILL_AT)
let armed = false
let points = 0

function point() {
  if (!armed) return
  points += 1
  if (points === at) process.kill(process.pid, 'SIGKILL')
}

export default {
  name: 'killAt',
  requires: ['sessions'],
  apply({ hooks, services }) {
    hooks.onPublish.tap('killAt', () => {
      armed = true
    })
    hooks.onAccept.tap('killAt', transport => {
      for (const name of ['write', 'writeMany']) {
        const original = transport[name]
        transport[name] = function (...args) {
          const result = original.apply(this, args)
          point()
          return result
        }
      }
    })
    return {
      start() {
        const store = services.get('sessions')
        for (const name of writes) {
          const original = store[name]
          store[name] = function (...args) {
            const result = original.apply(this, args)
            if (typeof result?.then !== 'function') {
              point()
              return result
            }
            return result.then(value => {
              point()
              return value
            })
          }
        }
      },
    }
  },
}
`
