// `npm test`: brings what the tests need beyond npm (Debian's mosquitto and its clients, haproxy, openssl, chromium, redis-server, strace, systemd's tools, Java and Maven for Kafka), then runs them.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const onPath = name => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0
const run = (command, args) => spawnSync(command, args, { stdio: 'inherit' }).status ?? 1

const needed = {
  mosquitto_pub: 'mosquitto-clients',
  mosquitto: 'mosquitto',
  haproxy: 'haproxy',
  openssl: 'openssl',
  chromium: 'chromium',
  'redis-server': 'redis-server',
  strace: 'strace',
  'systemd-analyze': 'systemd',
  java: 'openjdk-17-jre-headless',
  mvn: 'maven',
}
const missing = [
  ...new Set(
    Object.keys(needed)
      .filter(name => !onPath(name))
      .map(name => needed[name]),
  ),
]
if (missing.length > 0) {
  const mayInstall = process.getuid?.() === 0 && onPath('apt-get')
  const installed =
    mayInstall &&
    (run('apt-get', ['install', '-y', '-qq', ...missing]) === 0 ||
      (run('apt-get', ['update', '-qq']) === 0 && run('apt-get', ['install', '-y', '-qq', ...missing]) === 0))
  if (!installed) {
    console.error(`The tests need ${missing.join(' ')}: run  sudo apt-get install ${missing.join(' ')}`)
    process.exit(1)
  }
}

// Debian's package would start a server, so only its tool is taken out; the tests that ask it are left out where there is none.
const promtool = 'node_modules/.cache/promtool'
if (!onPath('promtool') && !existsSync(promtool) && onPath('apt-get') && onPath('dpkg-deb')) {
  const folder = mkdtempSync(join(tmpdir(), 'promtool-'))
  const at = (command, args) => spawnSync(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
  if (at('apt-get', ['download', '-qq', 'prometheus'])) {
    const [deb] = readdirSync(folder)
    if (at('dpkg-deb', ['--extract', deb, '.'])) {
      mkdirSync('node_modules/.cache', { recursive: true })
      copyFileSync(join(folder, 'usr/bin/promtool'), promtool)
    }
  }
  rmSync(folder, { recursive: true })
}
process.exit(run('npx', ['vitest', 'run', ...process.argv.slice(2)]))
