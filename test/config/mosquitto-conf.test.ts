import { describe, expect, test } from 'vitest'
import { OperatorError } from '../../core/errors.ts'
import { catalogue } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { parseAcl } from '../../presets/shell/import/mosquitto/acl.ts'
import { mosquittoConf, translateMosquitto } from '../../presets/shell/import/mosquitto-conf.ts'

/** Translates a text; `files` are those that it names, by their paths. */
function translate(text: string, files: Record<string, string> = {}, given: Parameters<typeof translateMosquitto>[2] = {}) {
  return translateMosquitto(text, sourceOf(files), given)
}

function sourceOf(files: Record<string, string> = {}) {
  return {
    name: 'mosquitto.conf',
    folder: '/etc/mosquitto',
    env: {},
    read: async (path: string) => files[path],
    list: async (path: string) => Object.keys(files).flatMap(name => (name.startsWith(`${path}/`) ? [name.slice(path.length + 1)] : [])),
    path: (path: string) => path,
  }
}

async function problemsOf(text: string, files: Record<string, string> = {}): Promise<readonly string[]> {
  const error = await translate(text, files).catch((one: unknown) => one)
  expect(error).toBeInstanceOf(OperatorError)
  return (error as OperatorError).problems
}

describe('mosquitto.conf', () => {
  test('that says nothing lets anybody in, from this machine only', async () => {
    const { config, untranslated } = await translate('')
    expect(config).toMatchObject({
      preset: 'standalone',
      socket: { port: 1883, host: 'localhost' },
      allowAnonymous: true,
      memory: true,
      sysTopic: { interval: '10s' },
      log: { level: 'info', to: 'stderr' },
      mqtt: { inflightMax: 20, receiveMaximum: 20, queueMessagesMax: 1000, topicAliasMaximum: 10 },
    })
    expect(untranslated).toEqual([])
  })

  test('takes ports of the command line only where it names no listener', async () => {
    expect((await translate('', {}, { ports: [1890, 1891] })).config).toMatchObject({ socket: [{ port: 1890 }, { port: 1891 }] })
    expect((await translate('listener 1884\n', {}, { ports: [1890] })).config).toMatchObject({
      socket: { port: 1884 },
      allowAnonymous: false,
    })
    expect((await translate('port 1884\nbind_address 127.0.0.1\n', {}, { ports: [1890] })).config).toMatchObject({
      socket: { port: 1884, host: '127.0.0.1' },
    })
  })

  test('has listeners of several kinds, each with what stands below it', async () => {
    const text = [
      'allow_anonymous true',
      'max_connections 5',
      'listener 8883',
      'certfile server.crt',
      'keyfile server.key',
      'cafile ca.crt',
      'require_certificate true',
      'crlfile revoked.pem',
      'tls_version tlsv1.3',
      'listener 8885',
      'certfile server.crt',
      'keyfile server.key',
      'capath cas',
      'listener 8080 127.0.0.1',
      'protocol websockets',
      'max_connections -1',
      'listener 0 /run/broker.sock',
      'listener 8884',
      'psk_hint house',
      'psk_file keys',
      'ciphers PSK-AES256-CBC-SHA',
    ].join('\n')
    const { config, untranslated } = await translate(text)
    expect(config.socket).toMatchObject([
      {
        port: 8883,
        tls: { cert: 'server.crt', key: 'server.key', clientAuth: true, ca: 'ca.crt', crl: 'revoked.pem', minVersion: 'TLSv1.3' },
      },
      { port: 8885, tls: { cert: 'server.crt', key: 'server.key', ca: 'cas' } },
      { socketPath: '/run/broker.sock' },
      { port: 8884, tls: { pskFile: 'keys', pskHint: 'house', ciphers: expect.stringMatching(/^TLS_.*:PSK-AES256-CBC-SHA$/) } },
      // Options above the first listener make one of their own, as in mosquitto.
      { port: 1883, maxConnections: 5 },
    ])
    expect(config.websocket).toMatchObject({ port: 8080, host: '127.0.0.1' })
    expect(untranslated).toEqual([])
    await resolveConfig(catalogue, { object: config })
  })

  test('reads the files of a folder where it is named, in the order of letters, and no others', async () => {
    const files = { 'conf.d/b.conf': 'port 3\n', 'conf.d/B.conf': 'max_inflight_messages 2\n', 'conf.d/a.txt': 'nonsense\n' }
    const { config } = await translate('include_dir conf.d\n', files)
    expect(config).toMatchObject({ socket: { port: 3 }, mqtt: { inflightMax: 2 } })
    expect(await problemsOf('include_dir conf.d', { 'conf.d/1.conf': '\nprot 1\n' })).toEqual([
      'conf.d/1.conf:2: prot: unknown; did you mean port?',
    ])
  })

  test('is refused by all that mosquitto would refuse, with file, line and cure', async () => {
    const text = [
      'listner 1',
      'max_keepalive 5',
      'allow_anonymous yes',
      'listener 0',
      'listener 70000',
      'topic # out',
      'acl_file',
      'max_qos x',
    ].join('\n')
    expect(await problemsOf(text)).toEqual([
      'mosquitto.conf:1: listner: unknown; did you mean listener?',
      'mosquitto.conf:2: max_keepalive: must be from 10 to 65535, got "5"',
      'mosquitto.conf:3: allow_anonymous: must be true or false, got "yes"',
      'mosquitto.conf:4: listener: with port 0 it needs the path of a Unix socket',
      'mosquitto.conf:5: listener: must be a port, got "70000"',
      'mosquitto.conf:6: topic: stands above the first line connection, which begins a bridge; move it below',
      'mosquitto.conf:7: acl_file: needs a value',
      'mosquitto.conf:8: max_qos: must be a whole number, got "x"',
    ])
    expect(await problemsOf('password_file a\npassword_file b\n')).toEqual([
      'mosquitto.conf:2: password_file: stands there twice; mosquitto takes it once',
    ])
  })

  test('keeps its limits', async () => {
    const text = [
      'max_inflight_messages 0',
      'max_queued_messages 0',
      'max_queued_bytes 4096',
      'max_packet_size 20000',
      'message_size_limit 1000',
      'max_keepalive 60',
      'memory_limit 10000000',
      'persistent_client_expiration 2m',
      'queue_qos0_messages true',
      'retain_available false',
      'sys_interval 0',
      'clientid_prefixes secure-',
      'persistence true',
      'persistence_location /var/lib/mosquitto/',
      'listener 1883',
      'max_qos 1',
      'max_topic_alias 0',
      'use_username_as_clientid true',
      'allow_zero_length_clientid false',
      'auto_id_prefix made-',
    ].join('\n')
    const { config, untranslated } = await translate(text)
    expect(config).toMatchObject({
      mqtt: {
        inflightMax: 65_535,
        receiveMaximum: 65_535,
        queueBytesMax: 4096,
        maximumPacketSize: 20_000,
        sessionExpiryMax: '60d',
        queueQoS0: true,
        clientIds: ['secure-#'],
        maximumQoS: 1,
        topicAliasMaximum: 0,
        clientIdFrom: 'username',
        emptyClientIds: false,
        assignedIdPrefix: 'made-',
      },
      limits: { maxPayload: 1000, maxKeepAlive: '60s', memory: { max: 10_000_000 } },
      retain: false,
      sysTopic: false,
      disk: { path: '/var/lib/mosquitto/mosquitto-mqttx' },
    })
    expect(config).not.toHaveProperty('memory')
    expect(untranslated).toEqual([])
    await resolveConfig(catalogue, { object: config })
  })

  test('has settings for each listener where it says so, by names', async () => {
    const text = [
      'per_listener_settings true',
      'listener 1883 127.0.0.1',
      'allow_anonymous true',
      'listener 8883',
      'password_file users',
      'acl_file acl',
      'mount_point house/',
    ].join('\n')
    const { config } = await translate(text, { acl: 'user alice\ntopic read a/#\n' })
    expect(config).toMatchObject({
      socket: [
        { name: '127.0.0.1:1883', port: 1883, allowAnonymous: true },
        { name: 'port-8883', port: 8883, allowAnonymous: false },
      ],
      authFile: { listeners: { 'port-8883': 'users' }, closeChanged: false },
      mountpoint: { listeners: { 'port-8883': 'house/' } },
      topicSecurity: {
        readRights: 'delivery',
        retainedSource: true,
        rules: [
          { allow: 'all', topics: ['#', '$SYS/#'], listeners: ['127.0.0.1:1883'] },
          { allow: 'subscribe', topics: ['a/#'], users: ['alice'], listeners: ['port-8883'] },
        ],
      },
    })
    await resolveConfig(catalogue, { object: config })
  })

  test('has bridges, whose messages wait on disk where it keeps anything', async () => {
    const text = [
      'listener 1883',
      'connection to the cloud',
      'address cloud.example.com:8883 10.0.0.1 ::1:1884',
      'topic sensors/# out 1 house/ site-7/',
      'topic commands/# in 2',
      'topic both/# both',
      'topic "" both 0 local/one remote/one',
      'bridge_cafile ca.crt',
      'bridge_insecure true',
      'bridge_protocol_version mqttv50',
      'remote_clientid site-7',
      'remote_username site',
      'remote_password hush',
      'keepalive_interval 30',
      'restart_timeout 2 20',
      'cleansession true',
      'notifications_local_only true',
      'start_type lazy',
      'threshold 5',
    ].join('\n')
    const { config, untranslated } = await translate(text)
    expect(config.mqttBridge).toEqual({
      connections: [
        {
          name: 'to-the-cloud',
          addresses: ['cloud.example.com:8883', '10.0.0.1:1883', '[::1]:1884'],
          version: '5',
          clientId: 'site-7',
          username: 'site',
          password: 'hush',
          ssl: { enable: true, ca: 'ca.crt' },
          checkName: false,
          keepAlive: '30s',
          retryMin: '2s',
          retryMax: '20s',
          cleanStart: true,
          notifications: 'local',
          topics: [
            { filter: 'sensors/#', direction: 'out', qos: 1, ack: 'none', localPrefix: 'house/', remotePrefix: 'site-7/' },
            { filter: 'commands/#', direction: 'in', qos: 2, ack: 'none' },
            { filter: 'both/#', direction: 'both', qos: 0, ack: 'none' },
            { filter: 'local/one', direction: 'out', to: 'remote/one', qos: 0, ack: 'none' },
            { filter: 'remote/one', direction: 'in', to: 'local/one', qos: 0, ack: 'none' },
          ],
        },
      ],
    })
    expect(untranslated.map(({ text: said }) => said)).toEqual(['start_type lazy', 'threshold 5'])
    expect((await translate(`${text}\npersistence true\n`)).config).toMatchObject({ diskQueue: { path: './mosquitto-mqttx-queue' } })
    expect(await problemsOf('connection c\ntopic # sideways 1\naddress x\n')).toEqual([
      expect.stringMatching(/^mosquitto\.conf:2: topic: must be a pattern/),
    ])
    expect(await problemsOf('connection c\ntopic #\n')).toEqual(['mosquitto.conf:1: connection: needs an address'])
    await resolveConfig(catalogue, { object: config })
  })

  test('says where the log goes, and how much of it', async () => {
    const logOf = async (text: string, verbose = false) => (await translate(text, {}, { verbose })).config.log
    expect(await logOf('log_type error\nlog_type warning\nlog_dest stdout\n')).toEqual({ level: 'warn', to: 'stdout' })
    expect(await logOf('log_dest file /var/log/m.log\nlog_type all\n')).toEqual({ level: 'trace', file: '/var/log/m.log' })
    expect(await logOf('log_dest none\n')).toEqual({ level: 'silent', to: 'stderr' })
    expect(await logOf('log_dest none\nlog_type error\n', true)).toEqual({ level: 'trace', to: 'stderr' })
    expect((await translate('log_dest syslog\nlog_dest topic\n')).untranslated).toMatchObject([
      { line: 1, text: 'log_dest syslog' },
      { line: 2, text: 'log_dest topic' },
    ])
  })

  test('lists what it could not translate, with the line and the reason, and shows no secret', async () => {
    const text = [
      'pid_file /run/m.pid',
      'upgrade_outgoing_qos true',
      'plugin /lib/x.so',
      'plugin_opt_token hush',
      'listener 1',
      'http_dir /www',
    ].join('\n')
    const { untranslated, unsafe } = await translate(text)
    expect(untranslated.map(({ line, text: said }) => `${line} ${said}`)).toEqual([
      '1 pid_file /run/m.pid',
      '2 upgrade_outgoing_qos true',
      '3 plugin /lib/x.so',
      '4 plugin_opt_token …',
      '6 http_dir /www',
    ])
    expect(unsafe.map(({ line }) => line)).toEqual([3])
    for (const { reason } of untranslated) expect(reason).toMatch(/\w{3}/)
  })

  test('becomes a config that lets nobody in, where what was left out would let in more than before', async () => {
    const text = 'allow_anonymous true\nlistener 1883\nplugin /lib/x.so\n'
    const { config, notes } = await mosquittoConf.translate(text, sourceOf())
    expect(config).toMatchObject({ allowAnonymous: false, socket: { allowAnonymous: false } })
    expect(notes[0]).toContain('allowAnonymous is false')
  })

  test('is recognised by its name, or by what it says', () => {
    expect(mosquittoConf.recognises('mosquitto.conf', '')).toBe(true)
    expect(mosquittoConf.recognises('broker.conf', '# mine\nlistener 1883\nallow_anonymous true\n')).toBe(true)
    expect(mosquittoConf.recognises('nginx.conf', 'server {\n  listen 80;\n}\n')).toBe(false)
    expect(mosquittoConf.recognises('application.yml', 'listener: 1\n')).toBe(false)
  })
})

describe('an acl_file', () => {
  test('becomes rules in the order in which mosquitto judges', () => {
    const { rules, problems, untranslated } = parseAcl(
      'topic a\ntopic deny a/b\nuser al ice\ntopic read x\ntopic write y\ntopic write z\npattern %u/#\npattern deny %c/x\nuser bob\ntopic readwrite with blanks\n',
      'acl',
    )
    expect([problems, untranslated]).toEqual([[], []])
    expect(rules).toEqual([
      { deny: 'all', topics: ['a/b'], anonymous: true },
      { allow: 'all', topics: ['a'], anonymous: true },
      { allow: 'subscribe', topics: ['x'], users: ['al ice'] },
      { allow: 'publish', topics: ['y', 'z'], users: ['al ice'] },
      { allow: 'all', topics: ['with blanks'], users: ['bob'] },
      { deny: 'all', topics: ['%c/x'] },
      { allow: 'all', topics: ['%u/#'] },
    ])
  })

  test('is refused where a line is none', () => {
    expect(parseAcl('topc a\ntopic rw a/#\ntopic\nuser\ntopic read a/#/b\n', 'acl').problems).toEqual([
      'acl:1: topc: no line of an acl_file; there are user, topic and pattern',
      'acl:2: topic: "rw" is no access; there are read, write, readwrite and deny',
      'acl:3: topic: needs a topic',
      'acl:4: user: needs a name',
      'acl:5: topic: "a/#/b" is no topic filter; + and # stand alone between slashes',
    ])
  })
})
