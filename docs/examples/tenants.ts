// A mount point for each tenant: the user `acme:meter-7` speaks of `state`, which is `tenants/acme/state` for the operator, and for
// nobody else. Clients of one tenant see one another's topics. (The built-in plugin `mountpoint` does the same by a template.)
import { definePlugin, isTopicName, parseShare, ReasonCode, Stage } from 'mqttx-broker'

// Behind those who judge what the client said, by its own names; before those who work with what is delivered.
const behindOwnNames = Stage.Default - 1

/** Gives the clients of a tenant a part of the topic tree that is theirs alone. */
export const tenants = definePlugin({
  name: 'tenants',
  options: {
    /** The topic level under which all tenants are. */
    root: { type: 'string', default: 'tenants', pattern: '^[^+#/$]+$' },
    /** User names that see the whole tree: the operator's own services. */
    operators: { type: 'list', items: { type: 'string' }, default: [] },
  },
  apply({ hooks }, { root, operators }) {
    hooks.onConnect.tap({ name: 'tenants', stage: Stage.Guard }, client => {
      if (operators.includes(client.username ?? '')) return undefined
      // What two user names could make alike would give one tenant the other's topics, so there are no wildcards and no levels in it.
      const tenant = /^([^:+#/]+):/.exec(client.username ?? '')?.[1]
      if (tenant === undefined) return { reasonCode: ReasonCode.NotAuthorized, reasonString: 'a user name is TENANT:NAME here' }
      client.mountPoint = `${root}/${tenant}/`
      return undefined
    })

    // The broker keeps `requested` beside it: by that name the client unsubscribes, and rights are judged.
    hooks.onSubscribe.tap({ name: 'tenants', stage: behindOwnNames }, ({ mountPoint }, subscription) => {
      if (mountPoint === '') return
      const share = parseShare(subscription.filter)
      const filter = mountPoint + (share?.filter ?? subscription.filter)
      subscription.filter = share === null ? filter : `$share/${share.group}/${filter}`
    })

    // Wills too: what is left of their client still has its mount point.
    hooks.onPublish.tap({ name: 'tenants', stage: behindOwnNames }, ({ mountPoint = '' }, message) => {
      if (mountPoint === '') return undefined
      const topic = mountPoint + message.topic
      if (message.topic.startsWith('$') || !isTopicName(topic)) return ReasonCode.TopicNameInvalid
      message.topic = topic
      const responseTopic = message.properties?.responseTopic
      if (responseTopic !== undefined) message.properties = { ...message.properties, responseTopic: mountPoint + responseTopic }
      return undefined
    })

    hooks.onDeliver.tap({ name: 'tenants', stage: Stage.Transform }, ({ mountPoint }, delivery) => {
      if (mountPoint === '') return undefined
      // A subscription of an earlier time, when the user was somewhere else, brings nothing.
      if (!delivery.topic.startsWith(mountPoint)) return false
      delivery.topic = delivery.topic.slice(mountPoint.length)
      const { responseTopic, ...others } = delivery.properties ?? {}
      // A response topic outside of the tenant's tree is no topic that the client could answer to.
      if (responseTopic?.startsWith(mountPoint)) delivery.properties = { ...others, responseTopic: responseTopic.slice(mountPoint.length) }
      else if (responseTopic !== undefined) delivery.properties = others
      return undefined
    })
  },
})
