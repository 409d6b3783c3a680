import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { Browser } from '../page/browser.ts'
import { freePort } from '../support/redis.ts'
import { TestCa } from '../support/test-ca.ts'
import type { FlowNode, NodeRed } from './node-red.ts'

// What has to hold in a running Node-RED, each check by itself: it deploys what it needs, and the next one deploys over it.

const connect = (url: string, options: IClientOptions = {}): Promise<MqttClient> =>
  mqtt.connectAsync(url, { reconnectPeriod: 0, connectTimeout: 20_000, ...options }, false)

const local = (port: number): string => `mqtt://127.0.0.1:${port}`

/** The node under test, and what logs its messages. */
function broker(fields: object, publishes = false): FlowNode[] {
  const log = (id: string): FlowNode => ({
    id,
    type: 'function',
    func: "node.log('EVENT ' + JSON.stringify(msg)); return null",
    outputs: 0,
    wires: [],
  })
  const node = { id: 'broker', type: 'mqttx-broker', preset: 'test', websocket: 'off', access: 'local', config: '{}', ...fields }
  return [{ ...node, wires: [['events'], publishes ? ['publishes'] : []] }, log('events'), log('publishes')]
}

/** What a client says next: a message's topic and payload, or the packet that ends the connection. */
const next = (client: MqttClient, event: 'message' | 'disconnect'): Promise<unknown[]> =>
  new Promise(resolve => client.once(event as 'message', (...args: unknown[]) => resolve(args)))

async function isOpen(port: number): Promise<boolean> {
  const socket = connectSocket(port, '127.0.0.1')
  const open = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false)
  socket.destroy()
  return open
}

async function refusal(url: string, options: IClientOptions): Promise<number> {
  const error = await connect(url, options).then(
    () => assert.fail('was let in'),
    error => error as { code: number },
  )
  return error.code
}

/** Each check by the sentence that it shows. */
export const checks: Readonly<Record<string, (red: NodeRed) => Promise<void>>> = {
  async 'the palette has the node, and its editor and help are served'(red) {
    const sets = (await red.get('/nodes')) as { module: string; types: string[]; enabled: boolean; err?: string }[]
    const ours = sets.filter(({ module }) => module === 'mqttx-broker')
    assert.deepEqual(
      ours.map(({ types, enabled, err }) => ({ types, enabled, err })),
      [{ types: ['mqttx-broker'], enabled: true, err: undefined }],
    )
    const page = await (await fetch(`${red.url}/nodes/mqttx-broker/mqttx-broker`, { headers: { accept: 'text/html' } })).text()
    for (const part of ['data-template-name="mqttx-broker"', 'data-help-name="mqttx-broker"']) assert.ok(page.includes(part), part)
    const icons = (await red.get('/icons')) as Record<string, string[]>
    assert.deepEqual(icons['mqttx-broker'], ['mqttx-broker.svg'])
    assert.equal((await fetch(`${red.url}/icons/mqttx-broker/mqttx-broker.svg`)).status, 200)
  },

  async 'nothing of the broker is loaded while no flow has the node'(red) {
    assert.ok(!red.log.includes('ready: mqttx-broker'))
  },

  async 'a deployed node serves clients, shows how many, and says what happens'(red) {
    const port = await freePort()
    await red.serve(broker({ port: String(port) }))
    const client = await connect(local(port), { clientId: 'meter-7', protocolVersion: 5, keepalive: 30 })
    await red.statusOf('broker', '1 client')
    await client.subscribeAsync('a/#', { qos: 1 })
    await client.publishAsync('a/b', 'not told, for nothing is wired', { qos: 1 })
    await client.unsubscribeAsync('a/#')
    await client.endAsync()
    assert.deepEqual(await red.statusOf('broker', '0 clients'), { fill: 'green', shape: 'dot', text: '0 clients' })
    await red.until('the end of the client', () => red.events.some(({ topic }) => topic === 'clientDisconnect'))
    const topics = red.events.filter(({ payload }) => payload.client?.id === 'meter-7').map(({ topic }) => topic)
    assert.deepEqual(topics, ['client', 'clientReady', 'subscribe', 'unsubscribe', 'clientDisconnect'])
    const { payload } = red.events.find(({ topic }) => topic === 'clientReady')!
    assert.deepEqual(
      { ...payload.client, address: '' },
      { id: 'meter-7', username: null, version: 5, keepalive: 30, clean: true, address: '' },
    )
  },

  async 'messages come from the second output where it is wired, without a restart of the broker'(red) {
    const port = await freePort()
    await red.serve(broker({ port: String(port) }))
    const client = await connect(local(port), { clientId: 'talker' })
    await red.deploy(broker({ port: String(port) }, true), 'nodes')
    await client.publishAsync('a/b', 'hello', { qos: 1, retain: true })
    await red.until('the message', () => red.events.some(({ topic }) => topic === 'publish'))
    const { packet, client: from } = red.events.find(({ topic }) => topic === 'publish')!.payload
    assert.deepEqual([packet.topic, String(Buffer.from(packet.payload.data)), packet.qos, packet.retain], ['a/b', 'hello', 1, true])
    assert.equal(from.id, 'talker')
    assert.ok(client.connected)
    await client.endAsync()
  },

  async 'Node-RED’s own MQTT nodes speak by it'(red) {
    const port = await freePort()
    const link = {
      id: 'link',
      type: 'mqtt-broker',
      broker: 'localhost',
      port: String(port),
      clientid: 'node-red',
      protocolVersion: '5',
      keepalive: '60',
      cleansession: true,
    }
    await red.deploy([
      ...broker({ port: String(port) }),
      link,
      { id: 'in', type: 'mqtt in', topic: 'house/+', qos: '1', datatype: 'utf8', broker: 'link', inputs: 0, wires: [['echo']] },
      {
        id: 'echo',
        type: 'function',
        func: "msg.topic = 'echo'; msg.payload = 'heard ' + msg.payload; return msg",
        outputs: 1,
        wires: [['out']],
      },
      { id: 'out', type: 'mqtt out', topic: '', qos: '1', retain: 'false', broker: 'link', wires: [] },
    ])
    await red.until('the nodes are connected', () =>
      red.events.some(({ topic, payload }) => topic === 'subscribe' && payload.topic === 'house/+'),
    )
    const client = await connect(local(port))
    await client.subscribeAsync('echo', { qos: 1 })
    const heard = next(client, 'message')
    await client.publishAsync('house/door', 'open', { qos: 1 })
    assert.equal(String((await heard)[1]), 'heard open')
    await client.endAsync()
  },

  async 'a deploy closes the port, tells the clients, and opens another'(red) {
    const ports = [await freePort(), await freePort()]
    await red.serve(broker({ port: String(ports[0]) }))
    const client = await connect(local(ports[0]!), { protocolVersion: 5 })
    const told = next(client, 'disconnect')
    await red.serve(broker({ port: String(ports[1]) }), 'nodes')
    assert.equal(((await told)[0] as { reasonCode: number }).reasonCode, 0x8b)
    assert.deepEqual([await isOpen(ports[0]!), await isOpen(ports[1]!)], [false, true])
    // The same port again and again.
    for (let i = 0; i < 5; i++) await red.serve(broker({ port: String(ports[1]) }))
    assert.equal(await isOpen(ports[1]!), true)
    await red.deploy([])
    assert.equal(await isOpen(ports[1]!), false)
  },

  async 'a port that is in use is said with the cure, by status, log and a Catch node, and Node-RED goes on'(red) {
    const port = await freePort()
    const second = { ...broker({ port: String(port) })[0]!, id: 'second', wires: [[], []] }
    await red.serve(broker({ port: String(port) }))
    await red.deploy([...broker({ port: String(port) }), second], 'nodes')
    const { fill, shape } = await red.statusOf('second', /in use/)
    assert.deepEqual([fill, shape], ['red', 'ring'])
    assert.match(red.log, /\[error\] \[mqttx-broker:second\] socket.port: .* is in use .*; stop the program that has it/)
    const caught: FlowNode = { id: 'catch', type: 'catch', scope: null, uncaught: false, wires: [['events']] }
    await red.deploy([...broker({ port: String(port) }), { ...second, name: 'again' }, caught], 'nodes')
    await red.until('the Catch node', () => red.events.some(({ payload }) => payload.code === 'ERR_PORT_IN_USE'))
    await (await connect(local(port))).endAsync()
  },

  async 'what is wrong in the fields and in the config is said, and the next deploy mends it'(red) {
    const port = String(await freePort())
    const wrong: [object, RegExp][] = [
      [{ config: '{' }, /^Config: /],
      [{ config: '[]' }, /no JSON object/],
      [{ config: '{"mqtt":{"maximumPaketSize":1}}' }, /did you mean maximumPacketSize/],
      [{ port: '99999' }, /^Port: /],
      [{ access: 'password' }, /user name and a password/],
      [{ tls: 'gone' }, /^TLS: /],
      [{ preset: 'prod', config: '{"redis":false,"memory":true,"cluster":false}' }, /anybody could connect/],
    ]
    for (const [fields, text] of wrong) {
      await red.deploy(broker({ port, ...fields }))
      await red.until(`${text} in the log`, () => text.test(red.log.split('[error] [mqttx-broker:broker] ').at(-1) ?? ''))
      await red.until('a red status', () => red.statuses.get('broker')?.fill === 'red')
    }
    await red.serve(broker({ port }))
  },

  async 'the config wins over the fields, and its paths start from the user directory'(red) {
    const port = await freePort()
    const config = JSON.stringify({ socket: { port }, sparkplug: true, mqtt: { maximumPacketSize: '1KiB' }, disk: { path: 'here' } })
    await red.serve(broker({ preset: 'standalone', port: '1', config }))
    assert.ok(existsSync(join(red.userDir, 'here')))
    const client = await connect(local(port), { protocolVersion: 5 })
    await client.publishAsync('spBv1.0/plant/NBIRTH/edge', 'birth', { qos: 1 })
    const born = next(client, 'message')
    await client.subscribeAsync('$sparkplug/#', { qos: 1 })
    assert.equal((await born)[0], '$sparkplug/certificates/spBv1.0/plant/NBIRTH/edge')
    await client.endAsync()
  },

  async 'with the preset standalone a session and its messages outlive a deploy'(red) {
    const port = await freePort()
    const session: IClientOptions = { clientId: 'kept', clean: false, protocolVersion: 5, properties: { sessionExpiryInterval: 3600 } }
    await red.serve(broker({ preset: 'standalone', port: String(port) }))
    const before = await connect(local(port), session)
    await before.subscribeAsync('jobs', { qos: 1 })
    await before.endAsync()
    const writer = await connect(local(port))
    await writer.publishAsync('jobs', 'work', { qos: 1 })
    await red.serve(broker({ preset: 'standalone', port: String(port) }))
    assert.ok(existsSync(join(red.userDir, 'mqttx-broker/broker')))
    const after = mqtt.connect(local(port), { reconnectPeriod: 0, ...session })
    const [, payload] = await next(after, 'message')
    assert.equal(String(payload), 'work')
    await after.endAsync()
  },

  async 'a user name and password let in who knows them, and nobody else'(red) {
    const port = await freePort()
    await red.serve(broker({ port: String(port), access: 'password', credentials: { username: 'ada', password: 'sesame' } }))
    const client = await connect(local(port), { username: 'ada', password: 'sesame' })
    await client.endAsync()
    assert.equal(await refusal(local(port), { username: 'ada', password: 'wrong' }), 4)
    assert.equal(await refusal(local(port), { username: 'eve', password: 'sesame' }), 5)
    assert.equal(await refusal(local(port), {}), 5)
    await red.until('three refusals', () => red.events.filter(({ topic }) => topic === 'connectionError').length === 3)
    const flows = readFileSync(join(red.userDir, 'flows.json'), 'utf8')
    assert.ok(!flows.includes('sesame') && !red.log.includes('sesame'))
  },

  async 'TLS by a TLS configuration of Node-RED, from files and from its own store'(red) {
    const ca = await TestCa.create(red.userDir)
    await ca.issue('server', 'server')
    const port = await freePort()
    const at = (name: string): string => join(red.userDir, name)
    const text = (name: string): string => readFileSync(at(name), 'utf8')
    const tls = {
      id: 'tls',
      type: 'tls-config',
      name: '',
      certname: '',
      keyname: '',
      caname: '',
      servername: '',
      verifyservercert: true,
      alpnprotocol: '',
    }
    const forms: FlowNode[] = [
      { ...tls, cert: at('server.crt'), key: at('server.key'), ca: '' },
      { ...tls, cert: '', key: '', ca: '', credentials: { certdata: text('server.crt'), keydata: text('server.key') } },
    ]
    for (const form of forms) {
      await red.serve([...broker({ port: String(port), tls: 'tls' }), form])
      const client = await connect(`mqtts://localhost:${port}`, { ca: ca.cert })
      await client.publishAsync('a', 'over TLS', { qos: 1 })
      await client.endAsync()
    }
    await red.deploy([...broker({ port: String(port), tls: 'empty' }), { ...tls, id: 'empty', cert: '', key: '', ca: '' }])
    await red.statusOf('broker', /no certificate and key/)
  },

  async 'MQTT over WebSocket, at a port of its own and at a path of Node-RED'(red) {
    const [port, websocketPort] = [String(await freePort()), String(await freePort())]
    await red.serve(broker({ port, websocket: 'port', websocketPort }))
    await (await connect(`ws://127.0.0.1:${websocketPort}/mqtt`)).endAsync()
    await red.serve(broker({ port, websocket: 'path', websocketPath: '/broker/mqtt' }))
    await (await connect(`ws://127.0.0.1:${red.port}/broker/mqtt`)).endAsync()
    // The path is given back, and the editor's own WebSocket goes on.
    await red.deploy([])
    await assert.rejects(connect(`ws://127.0.0.1:${red.port}/broker/mqtt`, { connectTimeout: 1000 }))
    await red.serve(broker({ port, websocket: 'path', websocketPath: 'broker/mqtt' }))
    await (await connect(`ws://127.0.0.1:${red.port}/broker/mqtt`)).endAsync()
  },

  async 'what is written into the editor’s dialog is what the broker does after a deploy'(red) {
    const [before, after] = [await freePort(), await freePort()]
    await red.serve(broker({ port: String(before), name: '', tls: '', websocketPort: '8083', websocketPath: '/mqtt', sysTopic: false }))
    const browser = await Browser.start()
    try {
      await browser.look({ name: 'editor', width: 1280, height: 860, mobile: false }, 'light')
      await browser.open(red.url)
      await browser.until("RED.nodes.node('broker') && RED.nodes.node('broker').status ")
      await browser.evaluate("RED.editor.edit(RED.nodes.node('broker')); 0")
      await browser.until("$('#node-input-preset').is(':visible') && $('.red-ui-typedInput-container').is(':visible')")
      const shown = (id: string): Promise<boolean> => browser.evaluate(`$('#node-input-${id}').is(':visible')`)
      assert.deepEqual([await shown('websocketPort'), await shown('websocketPath'), await shown('username')], [false, false, false])
      await browser.evaluate(`
        $('#node-input-name').val('house');
        $('#node-input-port').val('${after}');
        $('#node-input-access').val('password').trigger('change');
        $('#node-input-username').val('ada'); $('#node-input-password').val('sesame');
        $('#node-input-config').typedInput('value', '{"sparkplug": true}');
        0`)
      assert.deepEqual([await shown('username'), await shown('password')], [true, true])
      if (process.env.PICTURE !== undefined) writeFileSync(`${process.env.PICTURE}-dialog.png`, await browser.picture('png'))
      await browser.evaluate("$('#node-dialog-ok').trigger('click'); 0")
      await browser.until("!$('#node-input-preset').is(':visible') && RED.nodes.dirty()")
      const from = red.log.length
      await browser.evaluate("$('#red-ui-header-button-deploy').trigger('click'); 0")
      // Until then the status is that of the broker before.
      await red.until('the broker serves', () => red.log.includes('ready: mqttx-broker', from))
      await browser.until("!RED.nodes.dirty() && RED.nodes.node('broker').status.text === '0 clients'")
      const client = await connect(local(after), { username: 'ada', password: 'sesame' })
      await browser.until("RED.nodes.node('broker').status.text === '1 client'")
      if (process.env.PICTURE !== undefined) writeFileSync(`${process.env.PICTURE}-flow.png`, await browser.picture('png'))
      await client.endAsync()
      assert.equal(await isOpen(before), false)
      assert.deepEqual(browser.complaints, [])
    } finally {
      await browser.stop()
    }
  },

  async 'a hundred clients that come and go leave the right number, and their events'(red) {
    const port = await freePort()
    await red.serve(broker({ port: String(port) }))
    const clients = await Promise.all(Array.from({ length: 100 }, (_, i) => connect(local(port), { clientId: `many-${i}` })))
    await red.statusOf('broker', '100 clients')
    await Promise.all(clients.map(client => client.endAsync()))
    await red.statusOf('broker', '0 clients')
    const of = (name: string) => red.events.filter(({ topic, payload }) => topic === name && payload.client.id.startsWith('many-')).length
    await red.until('all events', () => of('clientReady') === 100 && of('clientDisconnect') === 100)
  },

  async 'Node-RED ends by SIGTERM, with clients connected'(red) {
    const port = await freePort()
    await red.serve(broker({ port: String(port) }))
    const client = await connect(local(port), { protocolVersion: 5 })
    const told = next(client, 'disconnect')
    assert.equal(await red.stop(), 0)
    assert.equal(((await told)[0] as { reasonCode: number }).reasonCode, 0x8b)
  },
}
