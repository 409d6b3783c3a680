// How fast a client may publish depends on what its user has booked. Each user has one budget, whatever the number of its clients: a bucket that holds
// `burst` messages and fills at `perSecond`. Whoever has used it up is slowed, by not reading on, or refused, as the plan says.
import { type Client, definePlugin, isClient, OperatorError, ReasonCode, Stage, type Timer } from 'mqttx-broker'

interface Plan {
  readonly perSecond: number
  readonly burst: number
  readonly over: 'slow' | 'refuse'
}

interface Bucket {
  plan: Plan
  left: number
  filledAt: number
  /** Clients that are not read until there is something in it again. */
  readonly paused: Set<Client>
  timer: Timer | null
  clients: number
}

declare module 'mqttx-broker' {
  interface LimitCounts {
    plan: number
  }
}

/** Bounds what users publish by the plan that they have. */
export const rateByPlan = definePlugin({
  name: 'rateByPlan',
  limits: ['plan'],
  options: {
    /** The plans, by name. */
    plans: {
      type: 'object',
      required: true,
      live: true,
      values: {
        type: 'object',
        properties: {
          /** Messages a second that one user's clients may publish together. */
          perSecond: { type: 'number', minimum: 0.01, required: true },
          /** Messages that may come at once, after a while of silence. */
          burst: { type: 'integer', minimum: 1, default: 10 },
          /** What becomes of more: `slow` reads no more until there is room, `refuse` answers 0x97 Quota exceeded (QoS 0 is dropped). */
          over: { type: 'string', values: ['slow', 'refuse'], default: 'slow' },
        },
      },
    },
    /** Which plan a user has, by user name. */
    users: { type: 'object', values: { type: 'string' }, default: {}, live: true },
    /** The plan of everybody else. */
    default: { type: 'string', required: true, live: true },
  },
  apply({ hooks, clock, broker }, options) {
    let { plans, users, default: otherwise } = checked(options)
    const buckets = new Map<string, Bucket>()
    const bucketOf = new WeakMap<Client, Bucket>()
    const planOf = (user: string): Plan => plans[Object.hasOwn(users, user) ? users[user]! : otherwise]!

    hooks.onConnect.tap('rateByPlan', client => {
      // Clients without a user name each have a budget of their own.
      const user = client.username ?? ''
      const name = user === '' ? `client ${client.clientId}` : `user ${user}`
      let bucket = buckets.get(name)
      if (bucket === undefined) {
        const plan = planOf(user)
        bucket = { plan, left: plan.burst, filledAt: clock.now(), paused: new Set(), timer: null, clients: 0 }
        buckets.set(name, bucket)
      }
      bucket.clients += 1
      bucketOf.set(client, bucket)
    })

    hooks.onDisconnect.tap('rateByPlan', client => {
      const bucket = bucketOf.get(client)
      if (bucket === undefined) return
      bucketOf.delete(client)
      bucket.clients -= 1
      bucket.paused.delete(client)
    })

    hooks.onPublish.tap({ name: 'rateByPlan', stage: Stage.Guard }, publisher => {
      const bucket = isClient(publisher) ? bucketOf.get(publisher) : undefined
      if (bucket === undefined || !isClient(publisher)) return undefined
      fill(bucket)
      if (bucket.left >= 1 || bucket.plan.over === 'slow') {
        bucket.left -= 1
        if (bucket.left < 0) slow(bucket, publisher)
        return undefined
      }
      broker.counters.limited.plan += 1
      return ReasonCode.QuotaExceeded
    })

    function fill(bucket: Bucket): void {
      const { perSecond, burst } = bucket.plan
      const now = clock.now()
      bucket.left = Math.min(burst, bucket.left + ((now - bucket.filledAt) / 1000) * perSecond)
      bucket.filledAt = now
    }

    /** Reads no more of it; what has been read before is let pass, so the debt is at most what one read brings. */
    function slow(bucket: Bucket, client: Client): void {
      broker.counters.limited.plan += 1
      if (!bucket.paused.has(client)) client.pauseReading('rateByPlan')
      bucket.paused.add(client)
      bucket.timer ??= clock.after((-bucket.left / bucket.plan.perSecond) * 1000, () => {
        bucket.timer = null
        for (const one of bucket.paused) one.resumeReading('rateByPlan')
        bucket.paused.clear()
      })
    }

    // A budget outlives its last client for as long as it is not full: coming again brings no new one.
    const sweep = (): void => {
      for (const [name, bucket] of buckets) {
        fill(bucket)
        if (bucket.clients === 0 && bucket.left >= bucket.plan.burst) buckets.delete(name)
      }
    }
    let sweeping: Timer | undefined
    return {
      start: () => void (sweeping = clock.every(10_000, sweep)),
      stop: () => sweeping?.cancel(),
      reload(next) {
        ;({ plans, users, default: otherwise } = checked(next))
        for (const [name, bucket] of buckets) bucket.plan = planOf(name.startsWith('user ') ? name.slice(5) : '')
      },
    }
  },
})

/** Every plan that is named must be there. */
function checked<O extends { readonly plans: object; readonly users: Readonly<Record<string, string>>; readonly default: string }>(
  options: O,
) {
  const { plans, users, default: otherwise } = options
  const missing = [otherwise, ...Object.values(users)].filter(plan => !Object.hasOwn(plans, plan))
  if (missing.length > 0) throw new OperatorError('ERR_CONFIG', `rateByPlan.plans: there is no plan ${missing.join(', ')}; add it`)
  return options as unknown as { readonly plans: Readonly<Record<string, Plan>>; readonly users: O['users']; readonly default: string }
}
