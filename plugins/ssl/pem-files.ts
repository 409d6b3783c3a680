import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { stampOf } from '../kit/file-stamp.ts'
import { type NamedFile, readNamed } from '../kit/named-file.ts'

/** Reads a file that a TLS option names, relative to the config's folder. */
export function readPem(option: string, name: string, folder: string): Promise<NamedFile> {
  const cure = 'correct the path, or make certificates for testing: npx mqttx-broker init --tls'
  return readNamed(option, pathOf(name, folder), 'ERR_TLS_FILE', cure)
}

/** The same for CAs, which may also be a folder of files that end in .pem or .crt. */
export async function readCaPem(option: string, name: string, folder: string): Promise<NamedFile> {
  const path = pathOf(name, folder)
  const isFolder = await stat(path).then(
    found => found.isDirectory(),
    () => false,
  )
  if (!isFolder) return readPem(option, name, folder)
  // Before its files are read, so that one which comes meanwhile is a change.
  const stamp = await stampOf(path)
  const names = (await readdir(path)).filter(one => /\.(pem|crt)$/.test(one)).sort()
  const files = await Promise.all(names.map(one => readPem(option, join(path, one), folder)))
  return { option, path, stamp, bytes: Buffer.concat(files.flatMap(({ bytes }) => [bytes, Buffer.from('\n')])) }
}

/** The Java mqttx found its keystore on the class path; here that is the folder of the config, as for every other path. */
function pathOf(name: string, folder: string): string {
  return resolve(folder, name.replace(/^classpath:\s*\/*/i, ''))
}

/** The certificates of a PEM file, one text each. */
export function certificatesIn(bytes: Buffer): string[] {
  return (
    bytes.toString('latin1').match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]+?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ??
    []
  )
}
