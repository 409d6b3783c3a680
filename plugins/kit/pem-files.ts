import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import { stampOf } from './file-stamp.ts'

/** A file that a TLS option names. */
export interface NamedFile {
  /** Which option names it: `ssl.cert`. */
  readonly option: string
  readonly path: string
  readonly bytes: Buffer
  /** What `stampOf` said before it was read: when that differs, so may the bytes. */
  readonly stamp: string
}

/** Reads what an option names, relative to the config's folder. What cannot be read is one line with its cure. */
export async function readNamed(option: string, name: string, folder: string): Promise<NamedFile> {
  const path = pathOf(name, folder)
  const stamp = await stampOf(path)
  try {
    return { option, path, stamp, bytes: await readFile(path) }
  } catch (cause) {
    throw new OperatorError('ERR_TLS_FILE', `${option}: ${whyUnreadable(path, cause as NodeJS.ErrnoException)}`, { cause })
  }
}

/** The Java mqttx found its keystore on the class path; here that is the folder of the config, as for every other path. */
export function pathOf(name: string, folder: string): string {
  return resolve(folder, name.replace(/^classpath:\s*\/*/i, ''))
}

function whyUnreadable(path: string, { code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no file ${path}; correct the path, or make certificates for testing: npx mqttx-broker init --tls`
    case 'EACCES':
    case 'EPERM':
      return `${path} may not be read by this user; give it to the broker's user: chown USER ${path}`
    case 'EISDIR':
      return `${path} is a folder; name the file in it`
    default:
      return `${path} cannot be read (${message}); name a file that can`
  }
}

/** The certificates of a PEM file, one text each. */
export function certificatesIn(bytes: Buffer): string[] {
  return (
    bytes.toString('latin1').match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]+?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ??
    []
  )
}
