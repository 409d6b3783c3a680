import type { Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Broker, ServerMessage } from '../../core/broker.ts'
import type { Transport, TransportEvents } from '../../core/connection/transport.ts'
import { OperatorError } from '../../core/errors.ts'
import type { Hooks } from '../../core/hooks.ts'
import type { Log } from '../../core/log.ts'
import type { Revoked, Rights, Whom } from '../../core/publisher.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { WorkerPlace } from '../../core/worker-place.ts'
import type { ListenerAddress } from '../../plugins/kit/listening/listener-addresses.ts'
import type { MessageHandler, OwnSubscription } from '../../plugins/kit/own-subscriptions.ts'
import type { Supervisor } from '../../plugins/kit/services/supervisor.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { defineVerb } from '../../plugins/kit/verbs/define-verb.ts'
import type { Attachment, AttachOptions } from '../../plugins/websocket/attach-server.ts'
import { hostOf } from './applied-plugins.ts'
import type { Catalogue } from './catalogue.ts'
import { type ConfigChange, compareConfigs } from './config-change.ts'
import type { Drain } from './drain.ts'
import { tapEntryRules } from './entry-rules.ts'
import { checkGuard, plainListeners } from './guard.ts'
import type { PluginHost } from './plugin-host.ts'
import { type AcceptOptions, acceptStream, acceptTransport } from './program-transport.ts'
import type { ResolvedConfig } from './resolved-config.ts'
import { revoke } from './revocation.ts'
import { configVerb, drainVerb, endSessionVerb, undrainVerb } from './shell-verb-declarations.ts'
import type { WholeBroker } from './whole-broker.ts'
import { workerCount } from './workers/worker-count.ts'

export interface StartOptions {
  /** Default: real time. */
  readonly clock?: Clock
  /** A program starts it, which may hand over connections by itself. Default: false. */
  readonly embedded?: boolean
  /** Called with the log before plugins start, for whoever has something to say while they do. Default: nobody is told. */
  wired?(log: Log): void
  /** This broker is one worker of several, and what they share. Default: it is the whole broker. */
  readonly worker?: { readonly place: WorkerPlace; readonly supervisor: Supervisor }
}

/** A broker that serves clients, until `stop`. */
export class RunningBroker {
  readonly #broker: WholeBroker
  readonly #host: PluginHost
  #config: ResolvedConfig
  readonly #attached = new Set<Attachment>()
  #stopped: Promise<void> | undefined
  #drain: Drain | undefined

  private constructor(broker: WholeBroker, host: PluginHost, config: ResolvedConfig) {
    this.#broker = broker
    this.#host = host
    this.#config = config
  }

  /** Applies and starts the plugins of a checked config and opens the listeners. What had started is stopped again when one fails. */
  static async start(
    catalogue: Catalogue,
    config: ResolvedConfig,
    { clock = new SystemClock(), embedded = false, wired, worker }: StartOptions = {},
  ): Promise<RunningBroker> {
    if (worker === undefined && workerCount(config.settings.workers) > 1) {
      throw new OperatorError(
        'ERR_WORKERS_CONFIG',
        'workers: a program runs one broker in its own process; start the broker by npx mqttx-broker, or leave out workers',
      )
    }
    const { broker, host, apply } = hostOf(catalogue, config, clock, worker?.place)
    if (worker !== undefined) broker.services.provide('supervisor', worker.supervisor, 'workers')
    // What is so for all workers, the first says.
    const says = worker === undefined || worker.place.number === 1
    const running = new RunningBroker(broker, host, config)
    broker.verbs.add(
      defineVerb(broker, endSessionVerb, {
        run: (_broker, { id }) => ({ id, connections: revoke(broker, { clientId: id }) }),
      }),
    )
    const drain = async (): Promise<Drain> => {
      running.#drain ??= new (await import('./drain.ts')).Drain(broker, host)
      return running.#drain
    }
    broker.verbs.add(defineVerb(broker, drainVerb, async () => (await drain()).begin))
    broker.verbs.add(defineVerb(broker, undrainVerb, async () => (await drain()).end))
    broker.verbs.add(
      defineVerb(broker, configVerb, {
        run: async (_broker, { match }) => (await import('./config-report.ts')).configAnswer(running.#config, match),
      }),
    )
    try {
      await apply()
      wired?.(broker.log)
      tapEntryRules(broker, config.rightsIgnored)
      await host.start()
      await broker.load()
      if (says) {
        for (const note of config.notes) broker.log.info(note)
        for (const warning of [...config.warnings, ...host.warnings]) broker.log.warn(warning)
      }
      const open = checkGuard(catalogue, config, broker)
      if (says && open !== null) broker.log.info(open)
      const plain = plainListeners(catalogue, config, broker)
      if (says && plain !== null) broker.log.warn(plain)
      if (says) running.#checkRights(config)
      for (const line of await host.listen()) if (says) broker.log.info(line)
      if (says && broker.listeners.length === 0 && !embedded) broker.log.warn('no listener is open, so nobody can connect; turn on socket')
      // Of several, the supervisor says it when all are.
      if (worker === undefined) broker.log.info(`ready: mqttx-broker ${catalogue.version}, preset ${config.preset}`)
    } catch (error) {
      await running.stop()
      throw error
    }
    return running
  }

  #checkRights({ settings, rightsIgnored }: ResolvedConfig): void {
    const { hooks, log } = this.#broker
    if (!settings.requireAuthentication || rightsIgnored || !hooks.onAuthenticate.isUsed() || hooks.onAuthorize.isUsed()) return
    log.warn('whoever is let in may publish and subscribe to everything; add topicSecurity with rules, or say topicSecurity: false')
  }

  /** The port of the first listener. */
  get port(): number {
    const [first] = this.#broker.listeners
    if (first === undefined) throw new OperatorError('ERR_NO_LISTENER', 'no listener is open; turn on socket')
    return first.port
  }

  /** Everything that happens; tap what you need. */
  get hooks(): Hooks {
    return this.#broker.hooks
  }

  /** The log of the plugin `log`; silent without it. */
  get log(): Log {
    return this.#broker.log
  }

  /** What plugins are handed too: clients, counters, services. */
  get broker(): Broker {
    return this.#broker
  }

  /** Publishes in the broker's own name; resolves when everybody who has to keep the message has it. */
  publish(message: ServerMessage): Promise<void> {
    return this.#broker.publish(message)
  }

  /** Subscribes the program itself; see `Broker.subscribe`. */
  subscribe(filter: string, handler: MessageHandler): OwnSubscription {
    return this.#broker.subscribe(filter, handler)
  }

  /** Gives other rights to a client by its id, `'meter-7'`, or to all of a user, `{ username: 'alice' }`; see `Broker.setRights`. */
  setRights(whom: Whom, rights: Rights | null): number {
    return this.#broker.setRights(whom, rights)
  }

  /** Takes a user or a client away, in a cluster at all nodes; see `PluginContext.revoke`. */
  revoke(whom: Revoked, options?: { readonly keepSession?: boolean }): number {
    return revoke(this.#broker, whom, options)
  }

  /** Hands new options to the plugin of that name; what is left out gets its default. Resolves to `false` if it takes none while running. */
  reload(plugin: string, options: object): Promise<boolean> {
    return this.#host.reload(plugin, options)
  }

  /** What another config would change: what would be taken up while running, and what only by the next start. Nothing is changed. */
  compare(next: ResolvedConfig): ConfigChange {
    const { taken, later } = compareConfigs(this.#config, next, index => this.#host.takes(index))
    return { taken, later }
  }

  /** Takes up what another config says, as far as it can be while running; what cannot is named. Rejects where it is wrong, and then nothing has changed. */
  async reconfigure(next: ResolvedConfig): Promise<ConfigChange> {
    const { taken, later, settings, plugins, config } = compareConfigs(this.#config, next, index => this.#host.takes(index))
    await this.#host.reloadAll(plugins.map(plugin => ({ ...plugin, before: this.#config.plugins[plugin.index]!.options })))
    this.#broker.changeSettings(settings)
    this.#config = config
    return { taken, later }
  }

  /** Reads the files again that the config names, as SIGHUP does. What is wrong with one is logged, and what was read before stays. */
  reread(): Promise<void> {
    return this.#host.reread()
  }

  /**
   * Takes a connection that no listener brought: a `net.Socket`, a `tls.TLSSocket` or any other duplex stream of bytes, whose other end speaks MQTT. Returns `false` where it
   * was refused, and is closed: by `onAccept`, by a limit, or because it is from another machine while anybody may connect (`onError` and the log get an `OperatorError`,
   * `ERR_UNGUARDED`). Throws a `TypeError` for a stream of objects or of text.
   */
  accept(stream: Duplex, options?: AcceptOptions): boolean
  /** The same for a transport of one's own: tell what is returned of its bytes and its end. Null: refused, and closed. */
  accept(transport: Transport): TransportEvents | null
  accept(from: Duplex | Transport, options: AcceptOptions = {}): boolean | TransportEvents | null {
    return 'writeMany' in from ? acceptTransport(this.#broker, from) : acceptStream(this.#broker, from, options)
  }

  /**
   * Takes MQTT over WebSocket at a path (default `/mqtt`) of an HTTP or HTTPS server that the program has made: of `node:http`, Fastify's `fastify.server`, what Express' `listen`
   * returns. Its other paths and its other WebSockets stay its own. Rejects with an `OperatorError`: `ERR_CONFIG` names a wrong option, `ERR_ATTACH` a path that another broker has,
   * `ERR_UNGUARDED` a server that other machines reach while anybody may connect. A server that is yet to listen is judged then: its clients are refused, and the log says why.
   * `stop` detaches it, and leaves the server running.
   */
  async attach(server: HttpServer | HttpsServer, options: AttachOptions = {}): Promise<Attachment> {
    const [{ attachServer }, { peerCertificateOf }] = await Promise.all([
      import('../../plugins/websocket/attach-server.ts'),
      import('../../plugins/ssl/peer-certificate.ts'),
    ])
    const broker = this.#broker
    if (broker.stopping) throw new OperatorError('ERR_ATTACH', 'attach: the broker has stopped; start one anew')
    let place: ListenerAddress | undefined
    // A server may be closed, and listen again somewhere else.
    const forget = (): void => {
      if (place !== undefined) broker.listeners.splice(broker.listeners.indexOf(place), 1)
      place = undefined
    }
    const attached = await attachServer(server, options, {
      broker,
      certificateOf(socket) {
        const shown = socket.getPeerX509Certificate()
        return shown && peerCertificateOf(shown, socket.authorized && Date.parse(shown.validTo) > Date.now())
      },
      listening(address) {
        forget()
        broker.listening((place = address))
      },
    })
    const attachment: Attachment = {
      detach: () => {
        if (!this.#attached.delete(attachment)) return
        attached.detach()
        forget()
      },
    }
    this.#attached.add(attachment)
    return attachment
  }

  /** Tells every client, drains, stops the plugins in reverse order. May be called again; never fails. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#drain?.stop()
    for (const attachment of this.#attached) attachment.detach()
    await this.#broker.stop()
    for (const error of await this.#host.stop()) this.#broker.log.error({ err: error.cause ?? error }, error.message)
    const { worker } = this.#broker
    if (worker === null || worker.number === 1) this.#broker.log.info('stopped')
  }
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A program asked for the port of a broker that has none. */
    ERR_NO_LISTENER: true
  }
}
