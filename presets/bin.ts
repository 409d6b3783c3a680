#!/usr/bin/env node
import { runCli } from '../core/config/cli.ts'
import { RunningBroker } from '../core/running-broker.ts'
import { catalogue } from './index.ts'

process.exitCode = await runCli(catalogue, process.argv.slice(2), process.env, {
  folder: process.cwd(),
  out: line => console.log(line),
  error: line => console.error(line),
  start: config => RunningBroker.start(catalogue, config),
  signals: process,
  exit: code => process.exit(code),
})
