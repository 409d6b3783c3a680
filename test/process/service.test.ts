import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Command } from './command.ts'

// Goal: under a service manager the broker tells when it is ready, keeps its state where it is told to, and opens nothing by a signal; and the unit that we
// give out lets it do no more than it needs. Method: the command with what systemd would put into its environment, and systemd's own tools.

const built = beforeAllBuilt()
const unit = fileURLToPath(new URL('../../docs/mqttx-broker.service', import.meta.url))

// Node has no datagrams by Unix sockets, neither to send nor to take.
const receiver = `
use Socket; $| = 1;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($socket, sockaddr_un($ARGV[0])) or die $!;
print "bound\\n";
while (defined recv($socket, my $said, 4096, 0)) { print join(' ', split(/\\n/, $said)), "\\n" }
`

/** What arrives at a socket as systemd has one. */
async function notifySocket(path: string): Promise<{ told(pattern: RegExp): Promise<void> }> {
  const child: ChildProcessByStdio<null, Readable, null> = spawn('perl', ['-e', receiver, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  let changed = (): void => {}
  child.stdout.on('data', chunk => {
    text += chunk
    changed()
  })
  const told = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(text)) {
      await new Promise<void>((resolve, reject) => {
        changed = resolve
        child.once('exit', () => reject(new Error(`the receiver ended: ${text}`)))
      })
    }
  }
  await told(/^bound$/m)
  return { told }
}

test('tells systemd when it is ready and when it stops, keeps its state in $STATE_DIRECTORY, and opens no inspector on SIGUSR1', async () => {
  const folder = await folderWith({ 'mqttx.config.json': '{ "socket": { "port": 0 }, "diskQueue": true }' })
  const state = await folderWith()
  const NOTIFY_SOCKET = join(state, 'notify')
  const manager = await notifySocket(NOTIFY_SOCKET)
  const broker = new Command(built.path('presets/bin.js'), folder, [], { NOTIFY_SOCKET, STATE_DIRECTORY: state })
  await broker.ready()
  await manager.told(/^READY=1/m)
  expect(existsSync(join(state, 'data', 'data.mdb'))).toBe(true)
  expect(existsSync(join(state, 'queue', 'data.mdb'))).toBe(true)
  expect(existsSync(join(folder, 'data'))).toBe(false)
  process.kill(broker.pid, 'SIGUSR1')
  await broker.line(/SIGUSR1 opens no inspector here; .*node --inspect/)
  broker.signal('SIGTERM')
  await manager.told(/^STOPPING=1/m)
  expect(await broker.ended()).toBe(0)
  // Node says there where its inspector listens.
  expect(broker.errors).toEqual([])
})

test('serves its clients where systemd cannot be told, and says so', async () => {
  const folder = await folderWith()
  const broker = new Command(built.path('presets/bin.js'), folder, ['--preset', 'test', '--port', '0'], {
    NOTIFY_SOCKET: join(folder, 'nobody'),
    PATH: '/nowhere',
  })
  await broker.ready()
  await broker.line(/systemd-notify: .*ENOENT.*Type=exec/)
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
})

test('the unit: started when the broker is ready, after a check, and anew with a delay; state in a folder of its own', () => {
  const lines = readFileSync(unit, 'utf8').split('\n')
  for (const line of [
    'Type=notify',
    'NotifyAccess=all',
    'Restart=on-failure',
    'RestartSec=5',
    'StateDirectory=mqttx-broker',
    'UMask=0077',
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=',
    'ProtectSystem=strict',
    'PrivateDevices=yes',
    'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
    'SystemCallFilter=@system-service',
  ])
    expect(lines).toContain(line)
  expect(lines.find(line => line.startsWith('ExecStartPre='))).toMatch(/mqttx-broker check/)
  // V8 writes machine code and runs it; clocks/boot_id stands below /proc/sys.
  expect(lines.filter(line => /^(MemoryDenyWriteExecute|ProcSubset)=/.test(line))).toEqual([])
})

test('the unit is below 2.5 by systemd-analyze security', () => {
  const said = execFileSync('systemd-analyze', ['security', '--offline=true', unit], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exposure = Number(/exposure level for mqttx-broker\.service: ([\d.]+)/.exec(said)?.[1])
  expect(exposure).toBeGreaterThan(0)
  expect(exposure).toBeLessThan(2.5)
})

test('the image runs as a user by number', () => {
  const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8')
  expect(dockerfile.match(/^USER .*$/gm)).toEqual(['USER 1000:1000'])
})
