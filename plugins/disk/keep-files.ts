import { chmod, open } from 'node:fs/promises'

/** Makes a file its owner's alone, and waits until what is in it would survive a loss of power. */
export async function keepFile(path: string): Promise<void> {
  await chmod(path, 0o600)
  await sync(path)
}

/** Waits until the names in a folder would survive a loss of power. */
export async function keepFolder(path: string): Promise<void> {
  // Not every file system lets a folder be synced; then its names are kept with it anyway.
  await sync(path).catch(() => {})
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
