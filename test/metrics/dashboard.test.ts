import { readFile } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createBroker } from '../../presets/index.ts'
import { parseExposition } from '../support/prometheus.ts'
import { freePort } from '../support/redis.ts'

const read = (name: string) => readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

test('the dashboard and docs/metrics.md name only metrics that there are, and the page names all of them', async () => {
  const port = await freePort()
  const broker = await createBroker({
    preset: 'test',
    log: { level: 'silent' },
    socket: false,
    metrics: { port },
    messageBridge: { brokers: ['127.0.0.1:1'], topics: ['a'], stopTimeout: 0 },
  }).start()
  onTestFinished(() => broker.stop())
  const { types } = parseExposition(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
  const there = new Set(types.keys())
  const { panels } = JSON.parse(await read('grafana-dashboard.json')) as { panels: { targets: { expr: string }[] }[] }
  const asked = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/\b(?:mqttx|nodejs|process)_\w+/g) ?? []))
  expect(asked.length).toBeGreaterThan(15)
  const family = (name: string) => name.replace(/_bucket$/, '')
  expect(asked.filter(name => !there.has(family(name)))).toEqual([])

  const page = await read('metrics.md')
  const own = [...there].filter(name => name.startsWith('mqttx_'))
  expect(own.filter(name => !page.includes(`\`${name}\``) && !page.includes(`\`${name.replace('mqttx_bridge_', '')}\``))).toEqual([])
})
