// What a device should be like, and what it last said it is, kept by the broker while the device is away.
//
//   shadow/DEVICE/update     publish { "desired": {…} } or { "reported": {…} }, with "version" where it must be the present one
//   shadow/DEVICE/document   retained: { "desired", "reported", "version" }
//   shadow/DEVICE/delta      retained: what is desired and not reported; empty where nothing is
//   shadow/DEVICE/rejected   why an update was not taken
//
// An update is merged as RFC 7396 says: null takes a member away. Its acknowledgement waits until the document is kept. The retained
// messages are all the state there is, so it outlives the broker as they do. At several nodes two updates of one device at the same moment need `version`.
import { type Broker, definePlugin, type Message, Stage } from 'mqttx-broker'

type Json = null | boolean | number | string | readonly Json[] | JsonObject
interface JsonObject {
  readonly [name: string]: Json
}
interface Shadow {
  readonly desired: JsonObject
  readonly reported: JsonObject
  readonly version: number
}

const pattern = /^shadow\/([^/]+)\/update$/
const nothing: Shadow = { desired: {}, reported: {}, version: 0 }

/** Keeps a shadow of each device. */
export const deviceShadow = definePlugin({
  name: 'deviceShadow',
  requires: ['retained'],
  options: {
    /** How large a document may become. An update that makes it larger is rejected. */
    bytesMax: { type: 'bytes', default: '32KiB' },
  },
  apply({ hooks, broker, services, report }, { bytesMax }) {
    // The updates of one device one after the other; a device that has none under way is not here.
    const working = new Map<string, Promise<void>>()

    // Only the broker writes documents: what a client publishes there would be taken for the truth.
    hooks.onAuthorize.tap({ name: 'deviceShadow', stage: Stage.Guard, pure: true }, (_publisher, action, topic) =>
      action === 'publish' && /^shadow\/[^/]+\/(document|delta|rejected)$/.test(topic) ? false : undefined,
    )

    broker.subscribe('shadow/+/update', message => {
      // Of a node of a cluster each node hears; the one that has its publisher sees to it.
      if (message.origin === 'peer') return undefined
      const device = pattern.exec(message.topic)![1]!
      message.own()
      const before = working.get(device) ?? Promise.resolve()
      const done = before.catch(() => {}).then(() => update(device, message))
      working.set(device, done)
      const forget = (): void => {
        if (working.get(device) === done) working.delete(device)
      }
      done.then(forget, forget)
      // Nobody waits for QoS 0, so nobody would hear of its failure.
      return message.qos > 0 ? done : done.catch(report)
    })

    async function update(device: string, { payload }: Message): Promise<void> {
      const shadow = await read(device)
      const next = merged(shadow, payload.toString())
      const text = typeof next === 'string' ? '' : JSON.stringify(next)
      const fault = typeof next === 'string' ? next : text.length > bytesMax ? `the document would be larger than ${bytesMax} bytes` : null
      if (fault !== null) return say(broker, device, 'rejected', JSON.stringify({ error: fault, version: shadow.version }), false)
      const { desired, reported } = next as Shadow
      const delta = difference(desired, reported)
      await say(broker, device, 'document', text, true)
      await say(broker, device, 'delta', Object.keys(delta).length === 0 ? '' : JSON.stringify(delta), true)
    }

    async function read(device: string): Promise<Shadow> {
      const cursor = services.get('retained').match(`shadow/${device}/document`)
      for (;;) {
        const { messages, done } = await cursor.next(1)
        if (messages[0] !== undefined) return JSON.parse(messages[0].payload.toString()) as Shadow
        if (done) return nothing
      }
    }
  },
})

function say(broker: Broker, device: string, what: string, payload: string, retain: boolean): Promise<void> {
  return broker.publish({ topic: `shadow/${device}/${what}`, payload, qos: 1, retain, properties: { contentType: 'application/json' } })
}

/** The shadow with an update in it, or what is wrong with that. */
function merged(shadow: Shadow, text: string): Shadow | string {
  let update: Json
  try {
    update = JSON.parse(text) as Json
  } catch {
    return 'the update is no JSON'
  }
  if (!isObject(update)) return 'the update is no object'
  const { desired = {}, reported = {}, version, ...others } = update
  const unknown = Object.keys(others)
  if (unknown.length > 0) return `unknown: ${unknown.join(', ')}; an update has desired, reported and version`
  if (!isObject(desired) || !isObject(reported)) return 'desired and reported are objects'
  if (version !== undefined && version !== shadow.version) return `the version is ${shadow.version}`
  return {
    desired: patched(shadow.desired, desired) as JsonObject,
    reported: patched(shadow.reported, reported) as JsonObject,
    version: shadow.version + 1,
  }
}

const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** RFC 7396. `Object.fromEntries` makes a member of every name, `__proto__` too, where an assignment would not. */
function patched(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch
  const members = new Map(Object.entries(isObject(target) ? target : {}))
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) members.delete(name)
    else members.set(name, patched(members.get(name), value))
  }
  return Object.fromEntries(members)
}

/** What of `desired` is not so in `reported`. */
function difference(desired: JsonObject, reported: JsonObject): JsonObject {
  const members: [string, Json][] = []
  for (const [name, wanted] of Object.entries(desired)) {
    const is = Object.hasOwn(reported, name) ? reported[name]! : undefined
    const left = isObject(wanted) && isObject(is) ? difference(wanted, is) : JSON.stringify(wanted) === JSON.stringify(is) ? {} : wanted
    if (!isObject(left) || Object.keys(left).length > 0 || (is === undefined && isObject(wanted))) members.push([name, left])
  }
  return Object.fromEntries(members)
}
