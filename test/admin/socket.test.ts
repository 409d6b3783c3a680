import { mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { socketFolder } from '../../plugins/admin/socket-place.ts'
import { knownVerbs } from '../../presets/shell/ask/known-verbs.ts'
import { environmentAssignments } from '../../presets/shell/assignments.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'
import { typed } from './typed.ts'

/** A broker whose admin socket is where it finds a place for it below a folder. */
async function startIn(folder: string, admin: object = {}) {
  const { lines, plugin } = keptLog()
  const { RUNTIME_DIRECTORY } = process.env
  process.env.RUNTIME_DIRECTORY = join(folder, 'data')
  try {
    return { ...(await startBroker({ log: false, plugins: [plugin], admin })), lines }
  } finally {
    if (RUNTIME_DIRECTORY === undefined) delete process.env.RUNTIME_DIRECTORY
    else process.env.RUNTIME_DIRECTORY = RUNTIME_DIRECTORY
  }
}

/** Leaves a socket behind, as a broker does that was killed. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer()
  await new Promise<void>(done => server.listen(`${path}.tmp`, done))
  await rename(`${path}.tmp`, path)
  await new Promise(done => server.close(done))
}

test('the socket is its owner’s alone, lies beside the data, and goes with the broker', async () => {
  const folder = await folderWith()
  const { running } = await startIn(folder)
  const [name] = await readdir(join(folder, 'data'))
  expect(name).toBe(`admin-${process.pid}.sock`)
  expect((await stat(join(folder, 'data', name!))).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'data'))).mode & 0o777).toBe(0o700)
  expect(await typed('status', { folder })).toMatchObject({ code: 0, errors: '' })
  await running.stop()
  expect(await readdir(join(folder, 'data'))).toEqual([])
  expect(await typed('status', { folder })).toMatchObject({ code: 1, errors: expect.stringContaining('no broker has its admin socket in') })
})

test('what a dead broker has left is removed, two brokers in a folder have a socket each, and the command line asks which', async () => {
  const folder = await folderWith()
  await mkdir(join(folder, 'data'))
  await leaveSocket(join(folder, 'data', 'admin-999999.sock'))
  await leaveSocket(join(folder, 'data', `admin-${process.pid}.sock`))
  await writeFile(join(folder, 'data', 'admin-note.txt'), 'mine')
  await startIn(folder)
  const other = await startIn(folder)
  const names = [`admin-${process.pid}-2.sock`, `admin-${process.pid}.sock`, 'admin-note.txt']
  expect((await readdir(join(folder, 'data'))).sort()).toEqual(names.sort())
  const unclear = await typed('status', { folder })
  expect([unclear.code, unclear.errors]).toEqual([1, expect.stringContaining('several brokers run here; say which: --socket ')])
  expect((await typed(`status --socket data/admin-${process.pid}-2.sock`, { folder })).code).toBe(0)
  expect((await typed('status', { folder, env: { MQTTX_SOCKET: `data/admin-${process.pid}.sock` } })).code).toBe(0)
  await other.running.stop()
  // One that is dead does not make it two.
  await leaveSocket(join(folder, 'data', 'admin-999999.sock'))
  expect((await typed('status', { folder })).code).toBe(0)
})

test('a path that the system does not take is said, and ends the start only where it was named', async () => {
  const folder = await folderWith()
  const long = join(folder, 'x'.repeat(120))
  await expect(startIn(long)).rejects.toMatchObject({ code: 'ERR_ADMIN_SOCKET', message: expect.stringContaining('at most 107 bytes') })
  const { lines } = await startIn(long, { optional: true })
  expect(lines.filter(({ level, message }) => level === 'warn' && message.startsWith('no admin socket, so'))).toHaveLength(1)
  await expect(startIn(folder, { socket: `${'y'.repeat(120)}.sock`, optional: true })).rejects.toMatchObject({ code: 'ERR_ADMIN_SOCKET' })
  await expect(startIn(folder, { socket: '/proc/1/admin.sock', optional: true })).rejects.toMatchObject({ code: 'ERR_ADMIN_SOCKET' })
})

test('a long path is asked as it is listened at: from a folder near it, by a short one', async () => {
  const base = await folderWith()
  const folder = join(base, 'x'.repeat(90), 'y'.repeat(20))
  await mkdir(folder, { recursive: true })
  const before = process.cwd()
  onTestFinished(() => process.chdir(before))
  process.chdir(folder)
  const { running } = await startIn(folder)
  expect(await typed('status', { folder })).toMatchObject({ code: 0, errors: '' })
  process.chdir(before)
  expect(await typed('status', { folder })).toMatchObject({ code: 1, errors: expect.stringContaining('go to a folder near it') })
  process.chdir(folder)
  await running.stop()
})

test('the folder is systemd’s, or the one of the data, or data of the config’s', () => {
  expect(socketFolder('/etc/m', '/var/lib/m', '/run/m:/run/n')).toBe('/run/m')
  expect(socketFolder('/etc/m', '/var/lib/m', undefined)).toBe('/var/lib/m')
  expect(socketFolder('/etc/m', undefined, '')).toBe('/etc/m/data')
})

test('MQTTX_SOCKET with a path is where the command line looks, and no option of socket', () => {
  const named = (text: string): number => environmentAssignments({ MQTTX_SOCKET: text }).length
  expect([named('data/admin-1.sock'), named('/run/x'), named('false')]).toEqual([0, 0, 1])
})

test('over the socket, a verb is a route: what changes something wants POST and JSON, and there is nothing else', async () => {
  const folder = await folderWith()
  await startIn(folder)
  const socketPath = join(folder, 'data', `admin-${process.pid}.sock`)
  const ask = (method: string, path: string, body = '', type = 'application/json'): Promise<number> =>
    new Promise((done, failed) => {
      const asked = request({ socketPath, method, path, headers: body === '' ? {} : { 'Content-Type': type } }, answer => {
        answer.resume().on('end', () => done(answer.statusCode!))
      })
      asked.on('error', failed)
      asked.end(body)
    })
  expect(await ask('GET', '/v1/clients?limit=2')).toBe(200)
  expect(await ask('GET', '/v1/clients?limit=999')).toBe(400)
  expect(await ask('GET', '/v1/clients?__proto__=1')).toBe(200)
  expect(await ask('GET', '/v1/kick?id=a')).toBe(405)
  expect(await ask('DELETE', '/v1/clients')).toBe(405)
  expect(await ask('POST', '/v1/kick', '{"id":"a"}')).toBe(200)
  expect(await ask('POST', '/v1/kick', 'id=a', 'application/x-www-form-urlencoded')).toBe(415)
  expect(await ask('POST', '/v1/kick', '[1]')).toBe(400)
  expect(await ask('POST', '/v1/publish', JSON.stringify({ topic: 't', payload: 'x'.repeat(1_100_000) }))).toBe(413)
  for (const path of ['/', '/v1/', '/v1/nothing', '/v1/../../etc/passwd', '/v1/%2e%2e/status', '/v1//status', '/v1/status/../../x'])
    expect([path, await ask('GET', path)]).toEqual([path, 404])
})

test('help, completion and what is said of a slip of the pen', async () => {
  for (const { name, example, takes, positional } of knownVerbs) {
    const { code, text } = await typed(['help', ...name.split(' ')])
    expect([name, code]).toEqual([name, 0])
    expect(text).toContain(`For example: mqttx-broker ${example}`)
    expect(example.startsWith(name)).toBe(true)
    for (const place of positional) expect(Object.keys(takes)).toContain(place)
  }
  const bash = await typed('completion bash')
  expect(bash.text).toContain('complete -o default -F _mqttx_broker mqttx-broker')
  expect(bash.text).toMatch(/retained\) words="tree rm .*--filter/)
  expect((await typed('completion')).errors).toContain('bash, zsh or fish')
  expect((await typed('clinets')).errors).toBe('error: clinets: no such command; did you mean clients?')
  expect((await typed('clients --usr alice')).errors).toContain('did you mean --user?')
  expect((await typed('client')).errors).toBe('error: client: say ID, as in: mqttx-broker client meter-7')
  expect((await typed('client a b')).errors).toContain('b is one too many')
  expect((await typed('clients --user')).errors).toContain('needs a value')
})

test('texts that clients choose write nothing into a terminal but themselves', async () => {
  const folder = await folderWith()
  const { connect } = await startIn(folder)
  await connect({ clientId: 'a\u001b[31mred' })
  const { text } = await typed('clients', { folder })
  expect(text).toContain('a\\u001b[31mred')
  expect(text).not.toContain('\u001b')
})
