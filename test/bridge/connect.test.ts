import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Command } from '../process/command.ts'
import { KafkaServer } from '../support/kafka.ts'
import { freePort, RedisServer } from '../support/redis.ts'

const built = beforeAllBuilt()

async function check(...sets: string[]): Promise<Command> {
  const args = ['check', '--connect', '--preset', 'dev', ...sets.flatMap(set => ['--set', set])]
  return new Command(built.path('presets/bin.js'), await folderWith(), args)
}

test('check --connect says of Redis and Kafka that they answer, and leaves nothing running', async () => {
  const [redis, kafka] = await Promise.all([RedisServer.start(), KafkaServer.start()])
  onTestFinished(async () => {
    await Promise.all([redis.stop(), kafka.stop()])
  })
  const command = await check(`redis.url=${redis.url}`, `messageBridge.brokers=["${kafka.address}"]`, 'messageBridge.topics=["a"]')
  expect(await command.ended()).toBe(0)
  expect(command.errors).toEqual([])
  expect(command.out.slice(-2)).toEqual([
    expect.stringMatching(/^Redis at redis:\/\/127\.0\.0\.1:\d+ answers: version \d/),
    expect.stringMatching(/^Kafka at 127\.0\.0\.1:\d+ answers and has 0 topics$/),
  ])
}, 300_000)

test('check --connect says of both what is wrong, each with its cure', async () => {
  const [redis, kafka] = [await freePort(), await freePort()]
  const command = await check(
    `redis.url=redis://127.0.0.1:${redis}`,
    `messageBridge.brokers=["127.0.0.1:${kafka}"]`,
    'messageBridge.topics=["a"]',
  )
  expect(await command.ended()).toBe(1)
  expect(command.errors).toEqual([
    expect.stringMatching(/^error: redis\.url: Redis at .* is away: connect ECONNREFUSED .*; start Redis at .*, or set redis\.url$/),
    expect.stringMatching(
      /^error: messageBridge\.brokers: Kafka at .*: nothing answers there .*start Kafka, or correct messageBridge\.brokers$/,
    ),
  ])
})

test('start --connect is no command', async () => {
  const command = new Command(built.path('presets/bin.js'), await folderWith(), ['--connect'])
  expect(await command.ended()).toBe(1)
  expect(command.errors).toEqual(['error: --connect: belongs to check; start connects by itself'])
})
