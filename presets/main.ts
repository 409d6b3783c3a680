import type { Log } from '../core/log.ts'
import { drainOutputs, standardError } from '../plugins/kit/output/standard-outputs.ts'
import { catalogue } from './index.ts'
import { runCli } from './shell/cli.ts'
import { LiveConfig } from './shell/live-config.ts'
import { onInspectorAsked } from './shell/no-inspector.ts'
import { watchNpm } from './shell/npm-parent.ts'
import { takeStreams } from './shell/process-streams.ts'
import { RunningBroker } from './shell/running-broker.ts'
import { tellServiceManager } from './shell/service-manager.ts'
import { workerCount } from './shell/workers/worker-count.ts'
import { isWorkerProcess } from './shell/workers/worker-mark.ts'

// The last lines have so long to be read; whoever reads at all needs less.
const drainMs = 200
// What a broker has left behind when it has stopped, a timer of a plugin say, keeps the process so long at most. Farewells to slow clients are over before.
const leftoversMs = 5000

const argv = process.argv.slice(2)

if (isWorkerProcess(process.env)) await (await import('./shell/workers/worker.ts')).runWorker(catalogue)
else await run()

async function run(): Promise<void> {
  process.exitCode = await runCli(catalogue, argv[0] === 'help' ? ['--help'] : argv, process.env, {
    folder: process.cwd(),
    out: line => console.log(line),
    error: line => void standardError().write(`${line}\n`),
    async start(config, again) {
      if (workerCount(config.settings.workers) > 1)
        return await (await import('./shell/workers/supervised.ts')).startSupervised(catalogue, config, argv)
      let log: Log | undefined
      takeStreams(() => log)
      let live: LiveConfig | undefined
      // From the beginning: without a listener it would end the process.
      process.on('SIGHUP', () => void live?.reread())
      const wired = (made: Log): void => void (log = made)
      const running = await RunningBroker.start(catalogue, config, { wired })
      onInspectorAsked(() => running.log.warn('SIGUSR1 opens no inspector here; start the broker with node --inspect to debug it'))
      live = new LiveConfig(running, config.configFile, again)
      await live.watch(config.settings.checkConfigEvery)
      const unwatch = watchNpm(npm => {
        running.log.info(`the npm process that started this broker (${npm}) has ended, so the broker stops`)
        process.kill(process.pid, 'SIGTERM')
      })
      // A promise that a plugin forgot is logged; it is no reason to drop everybody's connections.
      process.on('unhandledRejection', reason => {
        const text = reason instanceof Error ? reason.message : String(reason)
        running.broker.report(new Error(`unhandled rejection: ${text}`, { cause: reason }))
      })
      await tellServiceManager('ready', running.log)
      return {
        entrance: async () => (await running.broker.operate({ name: '--ui', via: 'program', role: 'admin' }, 'page')).url,
        async stop() {
          unwatch()
          live?.stop()
          await Promise.all([tellServiceManager('stopping', running.log), running.stop()])
        },
      }
    },
    signals: process,
    exit: code => process.exit(code),
  })

  await drainOutputs(drainMs)
  // A worker of `node:cluster` or pm2 has a channel to its parent, which would keep the process for ever.
  process.channel?.unref()
  setTimeout(() => process.exit(), leftoversMs).unref()
}
