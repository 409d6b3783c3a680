import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'

const Stage = { Guard: -200 } as const

/** Refuses a client's publishes once it has used up its budget for this second. */
export const rateLimit = definePlugin({
  name: 'rateLimit',
  options: {
    /** Messages one client may publish per second. */
    perSecond: { type: 'integer', minimum: 1, default: 100 },
  },
  apply({ hooks }, { perSecond }) {
    const spent = new Map<string, number>()
    let refill: NodeJS.Timeout

    hooks.onPublish.tap({ name: 'rateLimit', stage: Stage.Guard }, publisher => {
      const count = (spent.get(publisher.clientId) ?? 0) + 1
      spent.set(publisher.clientId, count)
      return count > perSecond ? ReasonCode.QuotaExceeded : undefined
    })

    return {
      start: () => {
        refill = setInterval(() => spent.clear(), 1000)
      },
      stop: () => clearInterval(refill),
    }
  },
})
