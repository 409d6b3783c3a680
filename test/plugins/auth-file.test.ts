import { chmod, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ConnackPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import { withUser } from '../../plugins/auth-file/password-file.ts'
import { hashPassword, parseHash } from '../../plugins/kit/password-hash.ts'
import { folderWith } from '../config/folder.ts'
import { Mosquitto, publish, startOnSocket, subscribe } from '../interop/mosquitto.ts'
import { settled, startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog } from '../support/log.ts'

const { BadUserNameOrPassword, NotAuthorized, ServerBusy } = ReasonCode

let alice = ''
beforeAll(async () => {
  alice = `alice:${await hashPassword('wonderland')}`
})

async function withFile(text: string, options: object = {}, config: object = {}) {
  const folder = await folderWith({ users: text })
  const path = join(folder, 'users')
  const broker = await startBroker({ authFile: { path, ...options }, ...config })
  const code = async (username?: string, password?: string, version: 4 | 5 = 5) =>
    (
      await broker
        .open(version)
        .connect({ version, ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) })
    ).reasonCode
  return { ...broker, folder, path, code }
}

/** Waits for what a look at the file leads to: the file system answers when it likes. */
async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise(resolve => setImmediate(resolve))
}

describe('authFile', () => {
  test('lets in who knows the password, again and again, and nobody else', async () => {
    const { code } = await withFile(`# users\n${alice}\n`)
    expect(await code('alice', 'wonderland')).toBe(0)
    expect(await code('alice', 'wonderland')).toBe(0)
    expect(await code('alice', 'wonderlan')).toBe(BadUserNameOrPassword)
    expect(await code('alice', '')).toBe(BadUserNameOrPassword)
    expect(await code('alice')).toBe(BadUserNameOrPassword)
    expect(await code('Alice', 'wonderland')).toBe(BadUserNameOrPassword)
    expect(await code('alice', 'wonderland', 4)).toBe(0)
    expect(await code('alice', 'nope', 4)).toBe(4)
  })

  test('says the same to an unknown user as to a wrong password', async () => {
    const { open } = await withFile(`${alice}\n`)
    const answers = []
    for (const username of ['alice', 'bob', '__proto__', 'constructor'])
      answers.push(await open(5).connect({ username, password: 'x', version: 5 }))
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]).toMatchObject({ reasonCode: BadUserNameOrPassword })
  })

  test('takes a password as bytes, whether they are text or not', async () => {
    const secret = Buffer.from([0xff, 0x00, 0x80])
    const { open } = await withFile(`bin:${await hashPassword(secret)}\n`)
    for (const [password, expected] of [
      [secret, 0],
      [Buffer.from([0xfe, 0x00, 0x80]), BadUserNameOrPassword],
    ] as const) {
      const client = open(5)
      client.send({ ...connectPacket({ version: 5, username: 'bin' }), password })
      expect(await client.next(2)).toMatchObject({ reasonCode: expected })
    }
  })

  test('has no opinion on clients without a user name', async () => {
    const strict = await withFile(`${alice}\n`)
    expect(await strict.code()).toBe(NotAuthorized)
    const open = await withFile(`${alice}\n`, {}, { allowAnonymous: true })
    expect(await open.code()).toBe(0)
    expect(await open.code('bob', 'x')).toBe(BadUserNameOrPassword)
  })

  test('leaves unknown users to the plugins behind it where it is told so', async () => {
    const { code, hooks } = await withFile(`${alice}\n`, { unknownUsers: 'pass' })
    hooks.onAuthenticate.tap('next', (_client, { username }) => (username === 'bob' ? {} : undefined))
    expect(await code('bob', 'x')).toBe(0)
    expect(await code('alice', 'x')).toBe(BadUserNameOrPassword)
    expect(await code('carol', 'x')).toBe(NotAuthorized)
  })

  test('knows names with colons, and others that are no plain words', async () => {
    const names = ['a:b', 'ännchen', '__proto__', 'two words', '$SYS', '+/#']
    const hash = await hashPassword('p')
    const { code } = await withFile(names.map(name => `${name}:${hash}\n`).join(''))
    for (const name of names) expect(await code(name, 'p'), name).toBe(0)
  })

  test('takes up a changed file while it runs, and goes on with the old one where the new one is wrong', async () => {
    const { lines, plugin } = keptLog()
    const { code, path, folder, clock } = await withFile(`${alice}\n`, {}, { log: false, plugins: [plugin] })
    const look = async (message: RegExp) => {
      const before = lines.length
      await eventually(() => {
        clock.advance(2000)
        return lines.slice(before).some(line => message.test(line.message))
      })
      await until(() => lines.slice(before).some(line => message.test(line.message)))
    }
    expect(await code('alice', 'wonderland')).toBe(0)
    // As editors and `passwd` do: a new file in the place of the old one.
    await writeFile(join(folder, 'new'), `bob:${await hashPassword('builder')}\n`)
    await rename(join(folder, 'new'), path)
    await look(/read again/)
    expect(await code('bob', 'builder')).toBe(0)
    expect(await code('alice', 'wonderland')).toBe(BadUserNameOrPassword)
    await writeFile(path, 'bob\n')
    await look(/not taken up: .*users:1: not a line USER/)
    expect(await code('bob', 'builder')).toBe(0)
    clock.advance(2000)
    await settled()
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1)
  })

  test('an empty file lets nobody in', async () => {
    const { code } = await withFile('')
    expect(await code('alice', 'wonderland')).toBe(BadUserNameOrPassword)
    expect(await code('', '')).toBe(BadUserNameOrPassword)
  })

  test.each([
    ['alice', /users:1: not a line USER:\$scrypt/],
    ['alice:wonderland', /users:1: not a line/],
    ['alice:', /users:1: not a line/],
    [':$scrypt$ln=14,r=8,p=5$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', /users:1: not a line/],
    ['alice:$scrypt$ln=30,r=8,p=5$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', /users:1: not a line/],
  ])('the line %j is an error at start that says where it stands', async (line, message) => {
    const folder = await folderWith({ users: `${line}\n` })
    const started = startBroker({ authFile: { path: join(folder, 'users') } })
    await expect(started).rejects.toMatchObject({ code: 'ERR_PASSWORD_FILE', message: expect.stringMatching(message) })
  })

  test('a user that stands there twice, a missing file, and a folder are errors at start', async () => {
    const folder = await folderWith({ users: `${alice}\n${alice}\n` })
    const start = (path: string) => startBroker({ authFile: { path } })
    await expect(start(join(folder, 'users'))).rejects.toThrow(/users:2: user "alice" stands there twice/)
    await expect(start(join(folder, 'none'))).rejects.toThrow(/authFile.path: there is no file .*none; make it/)
    await expect(start(folder)).rejects.toThrow(/is a folder; name a file in it/)
  })

  test('a file that may not be read is an error at start', async () => {
    const folder = await folderWith({ users: `${alice}\n` })
    const path = join(folder, 'users')
    // Everything is loaded once before: root may read any file, so it becomes nobody for the start that is to fail.
    await (await startBroker({ authFile: { path } })).running.stop()
    await chmod(path, 0)
    const isRoot = process.geteuid?.() === 0
    if (isRoot) process.seteuid!(65_534)
    try {
      await expect(startBroker({ authFile: { path } })).rejects.toThrow(/may not be read by this user; .*chown/)
    } finally {
      if (isRoot) process.seteuid!(0)
    }
  })

  test('tells those that the server is busy who find too many before them', async () => {
    const { open } = await withFile(`${alice}\n`, { concurrent: 1, waiting: 1 })
    const clients = [0, 1, 2].map(() => open(5))
    for (const client of clients) client.send(connectPacket({ version: 5, username: 'alice', password: 'wonderland' }))
    const codes = await Promise.all(clients.map(async client => (await client.next<ConnackPacket>(2)).reasonCode))
    expect(codes).toEqual([0, 0, ServerBusy])
  })

  test('mosquitto’s clients come in with user name and password', async () => {
    const folder = await folderWith({ users: `${alice}\n` })
    const broker = await startOnSocket({ authFile: { path: join(folder, 'users') } })
    const reader = await subscribe(broker, '-u', 'alice', '-P', 'wonderland', '-t', 'a')
    await publish(broker, '-u', 'alice', '-P', 'wonderland', '-t', 'a', '-m', 'hello', '-q', '1')
    expect(await reader.printed(1)).toEqual(['a hello'])
    expect(await new Mosquitto('mosquitto_pub', broker, ['-u', 'alice', '-P', 'x', '-t', 'a', '-m', 'x']).ended()).not.toBe(0)
    expect(await new Mosquitto('mosquitto_pub', broker, ['-t', 'a', '-m', 'x']).ended()).not.toBe(0)
  })
})

describe('a hash', () => {
  test('differs each time, and holds what it needs to be checked', async () => {
    const [one, two] = [await hashPassword('x'), await hashPassword('x')]
    expect(one).not.toBe(two)
    expect(parseHash(one)).toMatchObject({ costLog: 14, blockSize: 8, parallel: 5 })
  })

  test('is put into the text of a file without touching the rest', () => {
    const text = '# first\nalice:A\n\nbob:B\n'
    expect(withUser(text, 'bob', 'C')).toBe('# first\nalice:A\n\nbob:C\n')
    expect(withUser(text, 'carol', 'C')).toBe('# first\nalice:A\n\nbob:B\ncarol:C\n')
    expect(withUser(text, 'alice', null)).toBe('# first\n\nbob:B\n')
    expect(withUser('', 'alice', 'A')).toBe('alice:A\n')
    expect(withUser('alice:A', 'bob', 'B')).toBe('alice:A\nbob:B\n')
    expect(withUser('alice:A\n', 'alice', null)).toBe('')
  })
})
