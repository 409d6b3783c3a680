import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { freePort } from './redis.ts'
import { ServerProcess } from './server-process.ts'
import type { TestCa } from './test-ca.ts'

const version = '4.4.0'

// Small and quick: one node, no waiting for others, taken up again a second after a kill -9.
const settings = (port: number, controller: number, folder: string, extra: readonly string[]): string =>
  [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${controller}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'controller.listener.names=CONTROLLER',
    'inter.broker.listener.name=PLAINTEXT',
    `log.dirs=${folder}/data`,
    'num.network.threads=2',
    'num.io.threads=2',
    'offsets.topic.num.partitions=1',
    'offsets.topic.replication.factor=1',
    'transaction.state.log.num.partitions=1',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'group.initial.rebalance.delay.ms=0',
    'auto.create.topics.enable=false',
    'log.cleaner.dedupe.buffer.size=2097152',
    'broker.session.timeout.ms=1000',
    'broker.heartbeat.interval.ms=250',
    // A later line wins.
    ...extra,
    '',
  ].join('\n')

/** A real Apache Kafka of one node, on loopback, in a folder of its own. Its jars come from Maven Central once, and stay in Maven's cache. */
export class KafkaServer extends ServerProcess {
  readonly port: number
  readonly #classPath: string

  private constructor(port: number, folder: string, classPath: string) {
    super(folder)
    this.port = port
    this.#classPath = classPath
  }

  /** `user`: who may log in on three more listeners: see `loginAddress`, `plainAddress` and `tokenAddress`. The last two speak TLS, as `ca` has issued it. `more`: settings besides. */
  static async start({ user, ca, more = [] }: { user?: KafkaUser; ca?: TestCa; more?: readonly string[] } = {}): Promise<KafkaServer> {
    const classPath = kafkaClassPath()
    const ports: number[] = []
    for (let i = 0; i < 5; i++) ports.push(await freePort())
    const [port, controller, login, plain, token] = ports as [number, number, number, number, number]
    const folder = mkdtempSync(path.join(tmpdir(), 'mqttx-kafka-'))
    const server = new KafkaServer(port, folder, classPath)
    const listeners: Listener[] = []
    if (user !== undefined) {
      server.loginAddress = `127.0.0.1:${login}`
      listeners.push({ name: 'LOGIN', port: login, mechanism: 'SCRAM-SHA-256', module: 'scram.ScramLoginModule required' })
    }
    if (user !== undefined && ca !== undefined) {
      server.plainAddress = `127.0.0.1:${plain}`
      server.tokenAddress = `127.0.0.1:${token}`
      const tls = await tlsSettings(ca)
      const isPlain = `plain.PlainLoginModule required user_${user.name}="${user.password}"`
      listeners.push({ name: 'PLAIN', port: plain, mechanism: 'PLAIN', module: isPlain, tls })
      // Unsigned tokens, which Kafka takes where no one else is named to judge them.
      const isToken = `oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="kafka"`
      listeners.push({ name: 'TOKEN', port: token, mechanism: 'OAUTHBEARER', module: isToken, tls })
    }
    writeFileSync(server.#settings, settings(port, controller, folder, [...listenerSettings(port, controller, listeners), ...more]))
    const scram = user === undefined ? [] : ['--add-scram', `SCRAM-SHA-256=[name=${user.name},password=${user.password}]`]
    const format = ['kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', server.#settings, ...scram]
    const { status, stderr, stdout } = spawnSync('java', ['-Xmx64m', '-cp', classPath, ...format], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`Kafka's folder cannot be formatted: ${stderr}${stdout}`)
    await server.start()
    return server
  }

  /** Where one has to log in by SCRAM, without TLS. */
  loginAddress = ''
  /** Where one has to log in by name and password, with TLS and a certificate of one's own. */
  plainAddress = ''
  /** Where one has to log in by a token, with TLS and a certificate of one's own. */
  tokenAddress = ''

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  /** What the messages of a topic of one partition take on disk. */
  bytes(topic: string): number {
    return statSync(path.join(this.folder, 'data', `${topic}-0`, '00000000000000000000.log')).size
  }

  get #settings(): string {
    return path.join(this.folder, 'server.properties')
  }

  /** Starts it, or starts it again on the same ports and data, and waits until it serves. */
  async start(): Promise<void> {
    const memory = ['-Xms32m', '-Xmx192m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-XX:+ExitOnOutOfMemoryError']
    const child = spawn('java', [...memory, '-cp', this.#classPath, 'kafka.Kafka', this.#settings], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.child = child
    let said = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr!.on('data', (bytes: Buffer) => {
        said = `${said}${bytes}`.slice(-20_000)
        if (said.includes('Kafka Server started')) resolve()
      })
      child.once('exit', code =>
        reject(
          new Error(
            `Kafka ended with ${code}: ${said
              .split('\n')
              .filter(line => /ERROR|Exception/.test(line))
              .slice(0, 5)}`,
          ),
        ),
      )
    })
  }
}

interface KafkaUser {
  readonly name: string
  readonly password: string
}

/** One more, where one has to log in. */
interface Listener {
  readonly name: string
  readonly port: number
  readonly mechanism: string
  readonly module: string
  readonly tls?: Readonly<Record<string, string>>
}

function listenerSettings(port: number, controller: number, listeners: readonly Listener[]): string[] {
  if (listeners.length === 0) return []
  const more = listeners.map(({ name, port: own }) => `,${name}://127.0.0.1:${own}`).join('')
  const protocols = listeners.map(({ name, tls }) => `,${name}:${tls === undefined ? 'SASL_PLAINTEXT' : 'SASL_SSL'}`).join('')
  return [
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}${more}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}${more}`,
    `listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${protocols}`,
    ...listeners.flatMap(({ name, mechanism, module, tls = {} }) => {
      const at = `listener.name.${name.toLowerCase()}`
      return [
        `${at}.sasl.enabled.mechanisms=${mechanism}`,
        `${at}.${mechanism.toLowerCase()}.sasl.jaas.config=org.apache.kafka.common.security.${module};`,
        ...Object.entries(tls).map(([key, value]) => `${at}.${key}=${value}`),
      ]
    }),
  ]
}

async function tlsSettings(ca: TestCa): Promise<Record<string, string>> {
  const { cert, key } = await ca.issue('kafka', 'localhost')
  const chain = ca.path('kafka.pem')
  writeFileSync(chain, `${key}${cert}`)
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': chain,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': ca.path('ca.crt'),
    'ssl.client.auth': 'required',
  }
}

/** The class path of Kafka's jars: fetched by Maven where they are not there yet. */
function kafkaClassPath(): string {
  const cache = path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'), 'mqttx-broker')
  const known = path.join(cache, `kafka-${version}.classpath`)
  if (existsSync(known)) {
    const classPath = readFileSync(known, 'utf8').trim()
    if (classPath.length > 0 && classPath.split(':').every(jar => existsSync(jar))) return classPath
  }
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(path.join(cache, 'maven-'))
  try {
    const dependency = (group: string, artifact: string, wanted: string) =>
      `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${wanted}</version></dependency>`
    const pom = path.join(folder, 'pom.xml')
    writeFileSync(
      pom,
      `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging><dependencies>${dependency('org.apache.kafka', 'kafka_2.13', version)}${dependency('org.slf4j', 'slf4j-simple', '1.7.36')}</dependencies></project>`,
    )
    const output = path.join(folder, 'classpath')
    const args = ['-B', '-ntp', '-q', '-f', pom, 'dependency:build-classpath', `-Dmdep.outputFile=${output}`]
    let said = ''
    // A registry may be busy for a moment.
    for (let attempt = 0; attempt < 3 && !existsSync(output); attempt++) {
      const { error, stdout, stderr } = spawnSync('mvn', args, { encoding: 'utf8', timeout: 240_000 })
      said = error?.message ?? `${stdout}${stderr}`
    }
    if (!existsSync(output)) throw new Error(`Kafka's jars cannot be fetched by mvn, which the tests of the bridge need: ${said}`)
    renameSync(output, known)
    return readFileSync(known, 'utf8').trim()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
