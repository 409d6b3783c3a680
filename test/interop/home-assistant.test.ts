import type { IClientOptions } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { departure, startOnSocket } from './mosquitto.ts'
import { connect } from './mqtt-js.ts'

// Goal: what Home Assistant's MQTT integration asks of a broker holds. Method: a client that does what its source says (homeassistant/components/mqtt, client.py): one client id for
// each start and a clean session; everything that is pending in one SUBSCRIBE; a filter that is held already is subscribed to again, because that brings what is retained; discovery
// below `homeassistant/`; `online` and `offline` at `homeassistant/status` as birth and will, QoS 0, not retained; each SUBSCRIBE and PUBLISH answered within 10 s.

const versions: [string, IClientOptions][] = [
  ['3.1.1', { protocolVersion: 4 }],
  ['5', { protocolVersion: 5 }],
]
const status = 'homeassistant/status'
const assistant: IClientOptions = {
  clientId: '4kXDnPo1TfBzNq7YwJmL2a',
  clean: true,
  keepalive: 60,
  will: { topic: status, payload: Buffer.from('offline'), qos: 0, retain: false },
}
const devices = Array.from({ length: 300 }, (_, i) => `meter${i}`)
const states = devices.map(device => `meters/${device}/state`)
const discovery = ['homeassistant/+/+/config', 'homeassistant/+/+/+/config', 'homeassistant/device_automation/+/+/config']

describe.each(versions)('Home Assistant by MQTT %s', (_name, version) => {
  test('finds its devices, hears them, says that it is there, and is said to have gone', async () => {
    const broker = await startOnSocket()
    const device = await connect(broker, version)
    await device.client.subscribeAsync(status, { qos: 0 })
    for (const one of devices) {
      const config = JSON.stringify({ name: one, unique_id: one, state_topic: `meters/${one}/state`, unit_of_measurement: 'kWh' })
      await device.client.publishAsync(`homeassistant/sensor/${one}/config`, config, { qos: 1, retain: true })
    }

    const home = await connect(broker, { ...version, ...assistant })
    // One packet brings all filters.
    const granted = await home.client.subscribeAsync([...discovery, ...states], { qos: 0 })
    expect(granted.length).toBe(discovery.length + states.length)
    const found = await home.inbox.first(devices.length)
    expect(found.every(({ retain }) => retain)).toBe(true)
    expect(found.map(({ payload }) => (JSON.parse(String(payload)) as { name: string }).name).sort()).toEqual(devices.toSorted())
    await home.client.publishAsync(status, 'online', { qos: 0, retain: false })
    expect(await device.inbox.texts(1)).toEqual([`${status} online`])

    // A state as it changes has no RETAIN flag, though it is published with one.
    await device.client.publishAsync(states[0]!, '1', { qos: 1, retain: true })
    const heard = await home.inbox.first(devices.length + 1)
    expect(heard.at(-1)).toMatchObject({ topic: states[0], retain: false })
    // An entity that is added later subscribes again, and gets what is retained.
    await home.client.subscribeAsync(states[0]!, { qos: 0 })
    expect((await home.inbox.first(devices.length + 2)).at(-1)).toMatchObject({ topic: states[0], retain: true })

    const gone = departure(broker, assistant.clientId!)
    home.client.stream.destroy()
    await gone
    expect(await device.inbox.texts(2)).toEqual([`${status} online`, `${status} offline`])

    // It comes back with nothing kept, subscribes anew, and says so.
    const again = await connect(broker, { ...version, ...assistant })
    expect(again.sessionPresent).toBe(false)
    await again.client.subscribeAsync([...discovery, ...states], { qos: 0 })
    await again.inbox.first(devices.length + 1)
    await again.client.publishAsync(status, 'online', { qos: 0, retain: false })
    expect((await device.inbox.texts(3)).at(-1)).toBe(`${status} online`)
    await again.client.endAsync()
  })

  test('a device that is removed is no longer found; a picture of a megabyte comes whole', async () => {
    const broker = await startOnSocket()
    const device = await connect(broker, version)
    const home = await connect(broker, { ...version, ...assistant })
    await device.client.publishAsync('homeassistant/camera/door/config', '{"topic":"door/picture"}', { qos: 1, retain: true })
    await home.client.subscribeAsync([...discovery, 'door/picture'], { qos: 0 })
    await home.inbox.first(1)
    const picture = Buffer.alloc(1 << 20, 0xd8)
    await device.client.publishAsync('door/picture', picture, { qos: 0, retain: true })
    const [, came] = await home.inbox.first(2)
    expect(picture.equals(came!.payload as Buffer)).toBe(true)
    // An empty config takes the device away, for who is there and for who comes later.
    await device.client.publishAsync('homeassistant/camera/door/config', '', { qos: 1, retain: true })
    expect((await home.inbox.first(3)).at(-1)).toMatchObject({ topic: 'homeassistant/camera/door/config', payload: Buffer.alloc(0) })
    const later = await connect(broker, version)
    await later.client.subscribeAsync([...discovery, 'door/picture'], { qos: 0 })
    expect((await later.inbox.first(1)).map(({ topic }) => topic)).toEqual(['door/picture'])
  })
})
