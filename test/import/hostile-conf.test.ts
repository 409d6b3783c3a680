import { execFileSync } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { OperatorError } from '../../presets/index.ts'
import { importFile } from '../../presets/shell/import/index.ts'
import { shownUntranslated, writeConfig } from '../../presets/shell/import/write-config.ts'
import { folderWith } from '../config/folder.ts'

// Goal: a mosquitto.conf from anywhere is read in bounded time and memory, refused with its line where it cannot be, and what stands in it becomes neither code nor orders to a terminal.

const listener = 'listener 1883 127.0.0.1\n'

async function refusal(folder: string): Promise<string> {
  const error = await importFile(folder, 'mosquitto.conf', {}).catch((reason: Error) => reason)
  expect(error).toBeInstanceOf(OperatorError)
  return (error as OperatorError).message
}

test.each<[string, string | Buffer, RegExp]>([
  ['UTF-16', Buffer.from(`\uFEFF${listener}`, 'utf16le'), /it is no text, or UTF-16; save it as UTF-8/],
  [
    'a line that is Latin-1',
    Buffer.from(`# gr\xfcn\n${listener}password_file m\xfcller\n`, 'latin1'),
    /mosquitto\.conf:3: password_file: the line is not UTF-8/,
  ],
  ['U+0000 in a value', `${listener}password_file a\0b\n`, /it holds U\+0000/],
  ['ten million characters', `${listener}log_facility ${'1'.repeat(10_000_000)}\n`, /it has 100\d+ bytes, and 4194304 are read at most/],
])('%s is refused', async (_what, content, said) => {
  const folder = await folderWith()
  await writeFile(join(folder, 'mosquitto.conf'), content)
  expect(await refusal(folder)).toMatch(said)
})

test.each<[string, (folder: string) => Promise<void> | void, RegExp]>([
  [
    'a file that includes its own folder',
    folder => writeFile(join(folder, 'conf.d/a.conf'), 'include_dir conf.d\n'),
    /conf\.d\/a\.conf:1: include_dir: mosquitto reads none/,
  ],
  ['a link to itself', folder => symlink('a.conf', join(folder, 'conf.d/a.conf')), /conf\.d\/a\.conf: cannot be read/],
  ['a device that never ends', folder => symlink('/dev/zero', join(folder, 'conf.d/a.conf')), /conf\.d\/a\.conf: cannot be read/],
  [
    'a pipe that nobody writes to',
    folder => void execFileSync('mkfifo', [join(folder, 'conf.d/a.conf')]),
    /conf\.d\/a\.conf: cannot be read/,
  ],
  [
    'a folder that is called like a file',
    async folder => void (await mkdir(join(folder, 'conf.d/a.conf'))),
    /conf\.d\/a\.conf: cannot be read/,
  ],
])('include_dir with %s is refused', async (_what, put, said) => {
  const folder = await folderWith({ 'mosquitto.conf': `${listener}include_dir conf.d\n` })
  await mkdir(join(folder, 'conf.d'))
  await put(folder)
  expect(await refusal(folder)).toMatch(said)
})

test('the byte order mark of UTF-8, CR LF, and comments in another encoding change nothing', async () => {
  const folder = await folderWith()
  const text = Buffer.concat([
    Buffer.from('\uFEFF'),
    Buffer.from('# gr\xfcn\r\n', 'latin1'),
    Buffer.from('listener 1884 127.0.0.1\r\nallow_anonymous true\r\n'),
  ])
  await writeFile(join(folder, 'mosquitto.conf'), text)
  const { imported } = await importFile(folder, 'mosquitto.conf', {})
  expect(imported.config.socket).toMatchObject({ port: 1884, host: '127.0.0.1' })
})

test('what stands in the file becomes neither code in the config nor orders to a terminal', async () => {
  const attack = "\u2028throw 1;//\u2029throw 2;//\rthrow 3;//'+x+'`\u0024{x}*/ \u001b[2J\u009b31m\u202e"
  const folder = await folderWith({
    'mosquitto.conf': `${listener}allow_anonymous true\nbind_interface ${attack}\npersistence_file ${attack}\nlog_timestamp_format ${attack}\n`,
  })
  const { imported, title } = await importFile(folder, 'mosquitto.conf', {})
  expect(imported.untranslated.length).toBeGreaterThan(0)
  const lines = writeConfig(`mosquitto.conf ${attack} (${title})`, imported).split(/[\n\r\u2028\u2029]/)
  const code = lines.filter(line => !/^ *\/\//.test(line) && line.includes('throw'))
  // Where it is a value it is a text.
  for (const line of code) expect(line).toMatch(/^ *[\w]+: .*'.*\\u2028throw 1;.*',?.*$/)
  for (const one of imported.untranslated) expect(shownUntranslated(one)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/)
})

test('long files are read in a moment: 100,000 rules of one user, a line of blanks, a value of four million characters', async () => {
  const folder = await folderWith({
    'mosquitto.conf': `${listener}allow_anonymous true\nacl_file acl\nlog_timestamp_format x${' '.repeat(300_000)}x\nbind_interface ${'y'.repeat(3_000_000)}\n`,
    acl: `user a\n${'topic read a/b\n'.repeat(100_000)}`,
  })
  const { imported } = await importFile(folder, 'mosquitto.conf', {})
  expect(writeConfig('mosquitto.conf', imported).length).toBeLessThan(3_000_000)
  for (const one of imported.untranslated) expect(shownUntranslated(one).length).toBeLessThan(1000)
})
