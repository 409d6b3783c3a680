import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { FrameLink } from '../../plugins/local-bus/frames.ts'

// Goal: what one worker writes the other one reads, whole and in order, by Node's own handles and without, however the bytes fall.

/** A link that writes, and the socket at its other end. */
async function pair(handles: boolean): Promise<{ link: FrameLink; other: Socket }> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-frames-'))
  const server = createServer()
  server.listen(join(folder, 's'))
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const link = new FrameLink(connect(join(folder, 's')), { handles, take: () => {} })
  const [other] = (await accepted) as [Socket]
  onTestFinished(() => {
    link.destroy()
    other.destroy()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return { link, other }
}

const sizes = [0, 1, 4, 100, 65_530, 65_536, 40_000, 3, 700_000, 0, 12]

for (const handles of [true, false]) {
  const how = handles ? "by Node's own handles" : 'the documented way'

  test(`frames of all sizes arrive whole and in order, ${how}`, async () => {
    const { link, other } = await pair(handles)
    const got: string[] = []
    const all = new Promise<void>(resolve => {
      new FrameLink(other, {
        handles,
        take: (kind, bytes) => {
          got.push(`${kind} ${bytes.length} ${bytes.every(byte => byte === bytes.length % 251)}`)
          if (got.length === sizes.length * 3) resolve()
        },
      })
    })
    const done: number[] = []
    const kept: Promise<void>[] = []
    for (let round = 0; round < 3; round++) {
      for (const [i, size] of sizes.entries())
        kept.push(new Promise(resolve => link.write(i, Buffer.alloc(size, size % 251), () => resolve(void done.push(round * 100 + i)))))
      // Those of one step go together; the next ones find the link busy.
      await new Promise(setImmediate)
    }
    await Promise.all([all, ...kept])
    expect(got).toEqual([0, 1, 2].flatMap(() => sizes.map((size, i) => `${i} ${size} true`)))
    expect(done).toEqual([...done].sort((a, b) => a - b))
    expect(link.waiting).toBe(0)
  })

  test(`a frame that takes time holds up those behind it, and then the writer, ${how}`, async () => {
    const { link, other } = await pair(handles)
    const got: number[] = []
    let goOn = (): void => {}
    let held = Promise.resolve()
    const reader = new FrameLink(other, {
      handles,
      take: kind => {
        got.push(kind)
        if (kind % 2 === 1) return undefined
        held = new Promise(resolve => (goOn = resolve))
        return held
      },
    })
    for (let kind = 0; kind < 6; kind++) link.write(kind, Buffer.alloc(200_000))
    while (got.length < 1) await new Promise(setImmediate)
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    expect(got).toEqual([0])
    expect(link.waiting).toBeGreaterThan(0)
    while (got.length < 6) {
      const count = got.length
      goOn()
      while (got.length === count) await new Promise(setImmediate)
    }
    goOn()
    expect(got).toEqual([0, 1, 2, 3, 4, 5])
    reader.destroy()
  })

  test(`what was written before the end arrives, and a link that has ended calls back at once, ${how}`, async () => {
    const { link, other } = await pair(handles)
    const got: number[] = []
    const ended = new Promise<void>(resolve => {
      new FrameLink(other, { handles, take: (_kind, bytes) => void got.push(bytes.length), closed: resolve })
    })
    for (let i = 0; i < 10; i++) link.write(1, Buffer.alloc(100_000 + i))
    link.end()
    await ended
    expect(got).toEqual(Array.from({ length: 10 }, (_, i) => 100_000 + i))
    while (other.readyState !== 'closed') await new Promise(setImmediate)
    await new Promise<void>(resolve => link.write(1, Buffer.alloc(1), resolve))
  })
}

test('frames come whole however few bytes are read at a time', async () => {
  const { link, other } = await pair(false)
  const bytes: Buffer[] = []
  other.on('data', (chunk: Buffer) => bytes.push(chunk))
  const wanted = [3, 0, 70, 1]
  for (const [kind, size] of wanted.entries()) link.write(kind, Buffer.alloc(size, kind))
  while (Buffer.concat(bytes).length < wanted.reduce((sum, size) => sum + size + 5, 0)) await new Promise(setImmediate)
  for (const step of [1, 2, 7]) {
    const { link: again, other: end } = await pair(true)
    const got: string[] = []
    const reader = new FrameLink(end, { handles: true, take: (kind, frame) => void got.push(`${kind} ${frame.length}`) })
    const all = Buffer.concat(bytes)
    for (let at = 0; at < all.length; at += step) reader.onData(all, at, Math.min(at + step, all.length))
    expect(got).toEqual(wanted.map((size, kind) => `${kind} ${size}`))
    again.destroy()
  }
})
