import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Config } from '../../presets/index.ts'
import { LiveConfig } from '../../presets/shell/live-config.ts'
import { folderWith } from '../config/folder.ts'
import { parseExposition } from '../support/prometheus.ts'
import { RedisServer } from '../support/redis.ts'
import { TestCa } from '../support/test-ca.ts'
import { measured } from './measured.ts'

const read = (name: string) => readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

/** The names of all metrics of brokers that together have everything: a cluster with a bridge, and one on disk with TLS, as the command line starts it. */
async function names(): Promise<Set<string>> {
  const redis = await RedisServer.start()
  onTestFinished(() => redis.stop())
  const folder = await folderWith()
  const bridge = { messageBridge: { brokers: ['127.0.0.1:1'], topics: ['a'], stopTimeout: 0 } }
  const clustered = await measured({
    preset: 'dev',
    allowAnonymous: true,
    redis: { url: redis.url },
    cluster: { heartbeat: 100 },
    ...bridge,
  } as Config)
  await (await TestCa.create(folder)).issue('server', 'localhost')
  const ssl = { cert: join(folder, 'server.crt'), key: join(folder, 'server.key') }
  const alone = await measured({ preset: 'standalone', allowAnonymous: true, disk: { path: join(folder, 'data') }, ssl } as Config)
  const live = new LiveConfig(alone.running, undefined, () => Promise.reject(new Error('there is none')))
  onTestFinished(() => live.stop())
  await live.reread()
  const types = await Promise.all(
    [clustered, alone].map(async ({ url }) => parseExposition(await (await fetch(`${url}/metrics`)).text()).types),
  )
  return new Set(types.flatMap(found => [...found.keys()]))
}

test('the dashboard and docs/metrics.md name only metrics that there are, and the page names all of them', async () => {
  const there = await names()
  const { panels } = JSON.parse(await read('grafana-dashboard.json')) as { panels: { title: string; targets?: { expr: string }[] }[] }
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  const asked = expressions.flatMap(expr => expr.match(/\b(?:mqttx|nodejs|process)_\w+/g) ?? [])
  expect(asked.length).toBeGreaterThan(50)
  const family = (name: string) => name.replace(/_bucket$/, '')
  expect(asked.filter(name => !there.has(family(name)))).toEqual([])
  // A window that does not follow the time that is shown, and the interval of the scrapes, shows nothing or hides peaks.
  expect(expressions.filter(expr => /\[(?!\$__rate_interval\])/.test(expr))).toEqual([])
  expect(panels.map(({ title }) => title)).toContain('Cluster')

  const page = await read('metrics.md')
  const own = [...there].filter(name => name.startsWith('mqttx_'))
  const short = (name: string) => name.replace(/^mqttx_(?:bridge|cluster|presence)_/, '')
  expect(own.filter(name => !page.includes(`\`${name}\``) && !page.includes(`\`${short(name)}\``))).toEqual([])
})
