import { OperatorError } from '../../core/errors.ts'
import { isTopicName } from '../../core/routing/topic.ts'
import { readAddress } from './address.ts'
import { filesStamp } from './files-stamp.ts'
import { passwordOf } from './password.ts'
import type { ConnectionOptions } from './rules.ts'

/** Whether what the options of a connection name can be used. All that is wrong is thrown at once. */
export function verifyConnection(options: ConnectionOptions, at: string, locate: (file: string) => string): void {
  const { addresses, ssl, username, version, notificationTopic, retryMin, retryMax } = options
  const problems: string[] = []
  const attempt = (look: () => unknown): void => {
    try {
      look()
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      problems.push(...error.problems)
    }
  }
  for (const [index, text] of addresses.entries()) attempt(() => readAddress(text, `${at}.addresses[${index}]`, ssl.enable))
  attempt(() => filesStamp(options, at, locate))
  if ((ssl.cert === undefined) !== (ssl.key === undefined))
    problems.push(`${at}.ssl: a certificate and its key go together; set both cert and key`)
  attempt(() => {
    const password = passwordOf(options, at, locate)
    if (password !== undefined && username === undefined && version !== '5')
      problems.push(`${at}.username: before MQTT 5 there is no password without a user name; set it`)
  })
  if (notificationTopic !== undefined && !isTopicName(notificationTopic))
    problems.push(`${at}.notificationTopic: ${JSON.stringify(notificationTopic)} is no topic name; write it without wildcards`)
  if (retryMin > retryMax) problems.push(`${at}.retryMin: it is longer than retryMax; make it shorter`)
  if (problems.length > 0) throw new OperatorError('ERR_CONFIG', problems)
}
