#!/usr/bin/env node
import { runCli } from '../core/config/cli.ts'
import { RunningBroker } from '../core/running-broker.ts'
import { catalogue } from './index.ts'

process.exitCode = await runCli(catalogue, process.argv.slice(2), process.env, {
  folder: process.cwd(),
  out: line => console.log(line),
  error: line => console.error(line),
  async start(config) {
    const running = await RunningBroker.start(catalogue, config)
    // A promise that a plugin forgot is logged; it is no reason to drop everybody's connections.
    process.on('unhandledRejection', reason => {
      const text = reason instanceof Error ? reason.message : String(reason)
      running.broker.report(new Error(`unhandled rejection: ${text}`, { cause: reason }))
    })
    if (running.rereads) {
      process.on('SIGHUP', () => {
        running.reread().catch((error: Error) => running.broker.report(error))
      })
    }
    return running
  },
  signals: process,
  exit: code => process.exit(code),
})
