import { type Log, silentLog } from '../../../core/log.ts'
import type { Catalogue } from '../catalogue.ts'
import type { StartedBroker } from '../cli.ts'
import { onInspectorAsked } from '../no-inspector.ts'
import { watchNpm } from '../npm-parent.ts'
import { takeStreams } from '../process-streams.ts'
import type { ResolvedConfig } from '../resolved-config.ts'
import { tellServiceManager } from '../service-manager.ts'
import { supervise } from './supervise.ts'
import type { Supervisor } from './supervisor.ts'
import { workerCount } from './worker-count.ts'

/** What the command line does where a broker has several workers: this process starts them and takes care of them, and serves no client itself. */
export async function startSupervised(catalogue: Catalogue, config: ResolvedConfig, argv: readonly string[]): Promise<StartedBroker> {
  takeStreams(() => undefined)
  let supervisor: Supervisor | undefined
  // From the beginning: without a listener it would end the process.
  process.on('SIGHUP', () => supervisor?.reread())
  // Asked twice to stop, the command line ends this process at once, and the workers with it.
  process.once('exit', () => supervisor?.kill())
  supervisor = await supervise(config, argv, () => process.exit(1))
  const running = supervisor
  const log = logOf(running)
  onInspectorAsked(() => log.warn('SIGUSR1 opens no inspector here; start the broker with node --inspect to debug it'))
  const unwatch = watchNpm(npm => {
    log.info(`the npm process that started this broker (${npm}) has ended, so the broker stops`)
    process.kill(process.pid, 'SIGTERM')
  })
  log.info(`ready: mqttx-broker ${catalogue.version}, preset ${config.preset}, ${workerCount(config.settings.workers)} workers`)
  await tellServiceManager('ready', log)
  return {
    // Plugin admin runs in the first worker, which answers as it answers the command line.
    async entrance() {
      const { askBroker, findSocket } = await import('../ask/socket-request.ts')
      const socket = await findSocket({ folder: config.folder, given: undefined, environment: process.env.MQTTX_SOCKET })
      const answer = await askBroker(socket, { name: 'page', changes: true }, {})
      return (answer as { value: { url: string } }).value.url
    },
    async stop() {
      unwatch()
      await Promise.all([tellServiceManager('stopping', log), running.stop()])
    },
  }
}

/** The log, by way of the workers. */
function logOf(supervisor: Supervisor): Log {
  const say =
    (level: 'info' | 'warn' | 'error') =>
    (...line: [string] | [object, string]): void => {
      const [fields, text] = line.length === 1 ? [{}, line[0]] : line
      supervisor.say(level, text, fields)
    }
  return { ...silentLog, info: say('info'), warn: say('warn'), error: say('error') }
}
