import { resolve } from 'node:path'
import { type NamedFile, readNamed } from '../kit/named-file.ts'

/** Reads a file that a TLS option names, relative to the config's folder. */
export function readPem(option: string, name: string, folder: string): Promise<NamedFile> {
  const cure = 'correct the path, or make certificates for testing: npx mqttx-broker init --tls'
  return readNamed(option, pathOf(name, folder), 'ERR_TLS_FILE', cure)
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
