import { mkdir, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import { issueCertificate } from '../../plugins/ssl/issue-certificate.ts'

const folderName = 'tls'
const dayMs = 86_400_000
const caDays = 3650
// Browsers and phones refuse certificates of servers that are valid for longer.
const leafDays = 397

/**
 * Makes a CA for testing, a certificate for a broker on this machine and one for a client, in the folder `tls`. Overwrites nothing:
 * all or none is written. Returns the lines to print. `port`: of the listener that will use them.
 */
export async function initTls(folder: string, port: number): Promise<string[]> {
  const place = join(folder, folderName)
  const files = make()
  const written: string[] = []
  try {
    await mkdir(place, { recursive: true })
    for (const [name, { text, mode }] of Object.entries(files)) {
      // 'wx' refuses a file that is there; the mode counts from its first moment.
      await writeFile(join(place, name), text, { flag: 'wx', mode })
      written.push(join(place, name))
    }
  } catch (cause) {
    for (const path of written) await rm(path, { force: true })
    const { code, message } = cause as NodeJS.ErrnoException
    const text =
      code === 'EEXIST'
        ? `${folderName}/ holds certificates already, and nothing was written; move them away, or use another folder`
        : `${folderName}/ cannot be written (${message}); use a folder that can be`
    throw new OperatorError('ERR_INIT', `init --tls: ${text}`, { cause })
  }
  return [
    `wrote ${Object.keys(files).join(', ')} to ${folderName}/: for testing, and valid on this machine only`,
    'add to mqttx.config.ts:',
    `  ssl: { cert: '${folderName}/server.crt', key: '${folderName}/server.key' },`,
    'or, to let in only clients that show a certificate:',
    `  ssl: { cert: '${folderName}/server.crt', key: '${folderName}/server.key', ca: '${folderName}/ca.crt', clientAuth: true },`,
    `then: mosquitto_sub -h localhost -p ${port} --cafile ${folderName}/ca.crt --cert ${folderName}/client.crt --key ${folderName}/client.key -t '#'`,
  ]
}

function make(): Record<string, { text: string; mode: number }> {
  const now = Date.now()
  // Clocks differ, in containers too: what is valid from this second on is not yet valid somewhere.
  const validFrom = now - dayMs
  const organization = 'mqttx-broker test'
  const ca = issueCertificate({ commonName: 'mqttx-broker test CA', organization, use: 'ca', validFrom, validTo: now + caDays * dayMs })
  const leaf = { organization, issuer: ca, validFrom, validTo: now + leafDays * dayMs }
  const names = [...new Set(['localhost', hostname(), '127.0.0.1', '::1'])]
  const server = issueCertificate({ ...leaf, commonName: 'localhost', use: 'server', names })
  const client = issueCertificate({ ...leaf, commonName: 'test-client', use: 'client' })
  const all = { ca, server, client }
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, { cert, key }]) => [
      [`${name}.crt`, { text: cert, mode: 0o644 }],
      [`${name}.key`, { text: key, mode: 0o600 }],
    ]),
  )
}
