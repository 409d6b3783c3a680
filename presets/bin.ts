#!/usr/bin/env node
import { catalogue } from './index.ts'
import { runCli } from './shell/cli.ts'
import { LiveConfig } from './shell/live-config.ts'
import { RunningBroker } from './shell/running-broker.ts'

process.exitCode = await runCli(catalogue, process.argv.slice(2), process.env, {
  folder: process.cwd(),
  out: line => console.log(line),
  error: line => console.error(line),
  async start(config, again) {
    let live: LiveConfig | undefined
    // From the beginning: without a listener it would end the process.
    process.on('SIGHUP', () => void live?.reread())
    const running = await RunningBroker.start(catalogue, config)
    live = new LiveConfig(running, config.configFile, again)
    await live.watch(config.settings.checkConfigEvery)
    // A promise that a plugin forgot is logged; it is no reason to drop everybody's connections.
    process.on('unhandledRejection', reason => {
      const text = reason instanceof Error ? reason.message : String(reason)
      running.broker.report(new Error(`unhandled rejection: ${text}`, { cause: reason }))
    })
    return {
      stop() {
        live?.stop()
        return running.stop()
      },
    }
  },
  signals: process,
  exit: code => process.exit(code),
})
