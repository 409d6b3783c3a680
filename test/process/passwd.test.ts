import { spawn, spawnSync } from 'node:child_process'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'

// Goal: `npx mqttx-broker passwd` as a person and as a script use it.

const built = beforeAllBuilt()

function passwd(folder: string, args: readonly string[], input?: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [built.path('presets/bin.js'), 'passwd', ...args], {
    cwd: folder,
    encoding: 'utf8',
    input: input ?? '',
  })
  return { status, out: stdout, errors: stderr }
}

test('adds a user, changes its password and takes it out, in a file that only its owner reads', async () => {
  const folder = await folderWith()
  const file = join(folder, 'users')
  expect(passwd(folder, ['users', 'alice'], 'wonderland\n')).toEqual({ status: 0, out: 'alice put into users\n', errors: '' })
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const first = await readFile(file, 'utf8')
  expect(first).toMatch(/^alice:\$scrypt\$ln=14,r=8,p=5\$[\w+/]{22}\$[\w+/]{43}\n$/)

  await writeFile(file, `# the staff\n${first}`)
  await chmod(file, 0o644)
  expect(passwd(folder, ['users', 'alice'], 'looking glass').out).toBe('password of alice changed in users\n')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const second = await readFile(file, 'utf8')
  expect(second).toMatch(/^# the staff\nalice:\$scrypt/)
  expect(second).not.toContain(first)

  expect(passwd(folder, ['users', 'bob'], 'b').status).toBe(0)
  expect(passwd(folder, ['--delete', 'users', 'alice']).out).toBe('alice taken out of users\n')
  expect(await readFile(file, 'utf8')).toMatch(/^# the staff\nbob:\$scrypt[^\n]*\n$/)
})

test('asks on a terminal, twice, and shows nothing of what is typed', async () => {
  const folder = await folderWith()
  const program = `${process.execPath} ${built.path('presets/bin.js')}`
  const ask = terminal(folder, `${program} passwd users alice`)
  await ask.shows('Password for alice: ')
  ask.types('wonderlanx\x7fd\r')
  await ask.shows('Once more: ')
  ask.types('wonderland\r')
  expect(await ask.ended()).toBe(0)
  expect(ask.shown.replaceAll('\r', '')).toBe('Password for alice: \nOnce more: \nalice put into users\n')

  const differs = terminal(folder, `${program} passwd users bob`)
  await differs.shows('Password for bob: ')
  // Typed ahead: both answers at once.
  differs.types('one\rtwo\r')
  expect(await differs.ended()).toBe(1)
  expect(differs.shown).toContain('error: passwd: they differ; nothing was changed')

  const left = terminal(folder, `${program} passwd users bob`)
  await left.shows('Password for bob: ')
  left.types('on\x03')
  expect(await left.ended()).toBe(1)
  expect(left.shown).toContain('broken off; nothing was changed')
  expect(await readFile(join(folder, 'users'), 'utf8')).toMatch(/^alice:[^\n]*\n$/)
})

/** A command on a terminal of its own, which util-linux's `script` gives it. */
function terminal(folder: string, command: string) {
  const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let changed = (): void => {}
  const ended = new Promise<number | null>(resolve => child.on('close', resolve))
  const self = {
    shown: '',
    async shows(text: string): Promise<void> {
      while (!self.shown.includes(text)) {
        const more = new Promise<void>(resolve => {
          changed = resolve
        })
        if ((await Promise.race([more, ended])) !== undefined) throw new Error(`it ended and showed ${JSON.stringify(self.shown)}`)
      }
    },
    types: (text: string) => void child.stdin.write(text),
    ended: () => ended,
  }
  child.stdout.on('data', (chunk: Buffer) => {
    self.shown += chunk
    changed()
  })
  return self
}

test.each([
  [['users'], 'x', /^error: passwd: npx mqttx-broker passwd \[--delete\] FILE USER/],
  [['users', 'a', 'b'], 'x', /^error: passwd: npx mqttx-broker passwd/],
  [['users', '#a'], 'x', /^error: passwd: "#a" cannot be a user name/],
  [['users', 'a\nb'], 'x', /^error: passwd: "a\\nb" cannot be a user name/],
  [['users', 'a'], '\n', /^error: passwd: the password is empty; nothing was changed/],
  [['--delete', 'users', 'a'], '', /^error: passwd: users holds no user a; nothing was changed/],
  [['none/users', 'a'], 'x', /^error: passwd: .* cannot be written: .*; choose a folder that can be/],
])('passwd %j refuses, in one line', async (args, input, message) => {
  const folder = await folderWith()
  const { status, errors, out } = passwd(folder, args, input)
  expect(errors).toMatch(message)
  expect(errors.trim().split('\n')).toHaveLength(1)
  expect([status, out]).toEqual([1, ''])
})

test('does not touch a file that it does not understand', async () => {
  const folder = await folderWith({ users: 'alice:plain\n' })
  expect(passwd(folder, ['users', 'bob'], 'x').errors).toMatch(/^error: authFile.path: .*users:1: not a line USER/)
  expect(await readFile(join(folder, 'users'), 'utf8')).toBe('alice:plain\n')
})

test('stands in the help, and is meant where it is misspelt', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [built.path('presets/bin.js'), ...args], { encoding: 'utf8' })
  expect(run('--help').stdout).toMatch(/mqttx-broker passwd FILE USER {2,}add a user/)
  expect(run('paswd').stderr).toBe('error: paswd: no such command; did you mean passwd?\n')
})
