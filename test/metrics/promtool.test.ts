import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { folderWith } from '../config/folder.ts'
import { RedisServer } from '../support/redis.ts'
import { connect, measured } from './measured.ts'

// Prometheus' own judgement. `npm test` brings its tool where it can; elsewhere these are left out.
const kept = fileURLToPath(new URL('../../node_modules/.cache/promtool', import.meta.url))
const promtool = ['promtool', kept].find(path => spawnSync(path, ['--version']).status === 0)
const judged = (args: readonly string[], input = '') => {
  const { status, stdout, stderr } = spawnSync(promtool!, args, { input, encoding: 'utf8' })
  return { status, said: `${stdout}${stderr}` }
}

test.skipIf(promtool === undefined)('promtool finds nothing wrong with the metrics of a broker in a cluster, with a bridge', async () => {
  const redis = await RedisServer.start()
  const { running, url } = await measured({
    preset: 'dev',
    allowAnonymous: true,
    redis: { url: redis.url },
    cluster: { heartbeat: 100 },
    admin: { socket: false },
    sysTopic: {},
    messageBridge: { brokers: ['127.0.0.1:1'], topics: ['a'], stopTimeout: 0 },
    limits: {},
    delay: {},
    ban: {},
  })
  const client = await connect(running, { protocolVersion: 5 })
  await client.subscribeAsync('b')
  await client.publishAsync('b', 'x', { qos: 1 })
  const text = await (await fetch(`${url}/metrics`)).text()
  await client.endAsync()
  await running.stop()
  await redis.stop()
  expect(judged(['check', 'metrics'], text)).toEqual({ status: 0, said: '' })
})

const docs = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))

test.skipIf(promtool === undefined)('promtool takes docs/alerts.yml, and each expression of the dashboard', async () => {
  expect(judged(['check', 'rules', docs('alerts.yml')])).toMatchObject({ status: 0, said: expect.stringMatching(/SUCCESS: 7 rules found/) })
  const { panels } = JSON.parse(readFileSync(docs('grafana-dashboard.json'), 'utf8')) as { panels: { targets?: { expr: string }[] }[] }
  const rules = panels
    .flatMap(({ targets = [] }) => targets)
    .map(({ expr }, i) => ({ record: `expression_${i}`, expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*') }))
  const folder = await folderWith({ 'rules.json': JSON.stringify({ groups: [{ name: 'dashboard', rules }] }) })
  expect(judged(['check', 'rules', join(folder, 'rules.json')])).toMatchObject({
    status: 0,
    said: expect.stringContaining(`${rules.length} rules`),
  })
})
