import { OperatorError } from '../../../../core/errors.ts'
import { parseAcl } from './acl.ts'
import { type Block, type Conf, type Listener, shownLine } from './conf.ts'
import { nameOf } from './listeners.ts'
import { identityOf } from './tls.ts'
import type { Translation } from './translation.ts'

/** Who may connect, and do what: `authFile`, `authCertificate`, `topicSecurity`. */
export async function translateSecurity(conf: Conf, translation: Translation): Promise<void> {
  passwords(conf, translation)
  certificates(conf, translation)
  await rules(conf, translation)
  for (const block of [conf.security, ...(conf.perListener ? conf.listeners : [])]) plugins(block, translation)
}

function passwords({ perListener, security, listeners }: Conf, translation: Translation): void {
  // As mosquitto does: it passes over lines that it cannot read, and lets clients that are connected be.
  const more = { badLines: 'skip', closeChanged: false, refuseAs: 'notAuthorized' }
  if (!perListener) {
    const file = security.text('password_file')
    if (file !== undefined) translation.set('authFile', { path: translation.path(file), ...more })
    return
  }
  const files = Object.fromEntries(
    listeners.flatMap(one => {
      const file = one.text('password_file')
      return file === undefined ? [] : [[nameOf(one), translation.path(file)]]
    }),
  )
  if (Object.keys(files).length > 0) translation.set('authFile', { listeners: files, ...more })
}

function certificates({ listeners }: Conf, translation: Translation): void {
  const vouched = listeners.flatMap(one => {
    const part = identityOf(one)
    return part === undefined || !(one.has('certfile') || one.has('psk_hint')) ? [] : [{ listener: one, part }]
  })
  const [first] = vouched
  if (first === undefined) return
  translation.set('authCertificate', {
    username: first.part,
    listeners: vouched.map(({ listener }) => nameOf(listener)),
    refuseAs: 'badUserNameOrPassword',
  })
  for (const { listener, part } of vouched)
    if (part !== first.part)
      translation.leave(
        listener.line(part === 'subject' ? 'use_subject_as_username' : 'use_identity_as_username'),
        'all listeners take one part of the certificate: authCertificate.username',
        true,
      )
}

async function rules(conf: Conf, translation: Translation): Promise<void> {
  const check = conf.broker.flag('check_retain_source') ?? true
  const blocks: readonly (Block | Listener)[] = conf.perListener ? conf.listeners : [conf.security]
  if (!blocks.some(one => one.has('acl_file'))) return
  const all: object[] = []
  for (const block of blocks) {
    const listeners = conf.perListener ? { listeners: [nameOf(block as Listener)] } : {}
    const line = block.line('acl_file')
    // Where a listener has no file, everything is allowed at it.
    if (line === undefined) all.push({ allow: 'all', topics: ['#', '$SYS/#'], ...listeners })
    else all.push(...(await rulesOf(line.value, translation)).map(rule => ({ ...rule, ...listeners })))
  }
  translation.set('topicSecurity', {
    rules: all,
    readRights: 'delivery',
    ...(check ? { retainedSource: true } : {}),
  })
  translation.comments['topicSecurity.rules'] =
    'The first rule that fits decides, and what none fits is denied. These are the rules now; changes go here from now on, not into the old file.'
}

async function rulesOf(path: string, translation: Translation): Promise<object[]> {
  const text = await translation.source.read(path)
  if (text === undefined)
    throw new OperatorError('ERR_CONFIG', `acl_file: ${path} cannot be read; correct the path, or let this user read it`)
  const { rules: found, untranslated, problems } = parseAcl(text, path)
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
  translation.untranslated.push(...untranslated.map(one => ({ ...one, file: path })))
  return found
}

function plugins(block: Block, translation: Translation): void {
  const reason = 'plugins in C do not run here; docs/writing-a-plugin.md shows how one is written in TypeScript'
  for (const name of ['plugin', 'auth_plugin']) for (const line of block.all(name)) translation.leave(line, reason, true)
  for (const name of ['plugin_opt_', 'auth_opt_', 'auth_plugin_deny_special_chars'])
    for (const line of block.all(name))
      translation.untranslated.push({ line: line.line, ...(line.file && { file: line.file }), text: shownLine(line), reason })
}
