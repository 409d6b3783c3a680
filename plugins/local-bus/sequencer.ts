import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { Node } from '../kit/services/bus.ts'
import type { LocalTransport, OpenSocket } from '../kit/services/local-sockets.ts'
import { FrameLink } from './frames.ts'
import { LocalWays } from './local-ways.ts'
import { type FromSequencer, sequencerSocket, type ToSequencer } from './sequence.ts'

// Who does not read what all are told is taken for dead.
const waitingBytesMax = 64 * 1024 * 1024
const rowsPerPart = 2000
const twiceBeats = 2.5

interface Member {
  node: Node
  readonly link: FrameLink
  readonly tables: Map<string, Map<string, string>>
  lastSign: number
  readonly expiryMs: number
}

interface Opening {
  readonly link: FrameLink
  readonly id: number
  readonly node: Node
  readonly expiryMs: number
  readonly timer: Timer
}

/**
 * Tells the workers of a broker everything that they announce in one and the same order, and who of them is there; keeps their tables. Messages do not come here. It lives in
 * the supervisor, and as long as that.
 */
export class Sequencer {
  readonly #clock: Clock
  readonly #members = new Map<string, Member>()
  /** What the dead have left, until their heirs have seen to it. */
  readonly #dead = new Map<string, Member>()
  readonly #opening = new Map<string, Opening>()
  readonly #agreed = new Map<string, string>()
  readonly #links = new Set<FrameLink>()
  readonly #ways: LocalWays
  #server: OpenSocket | null = null
  #timer: Timer | null = null

  constructor(clock: Clock, ways = new LocalWays()) {
    this.#clock = clock
    this.#ways = ways
  }

  /** Opens its socket in a folder; resolves when buses may come. */
  async listen(folder: string): Promise<void> {
    this.#server = await this.#ways.listen(join(folder, sequencerSocket), end => this.#accept(end))
    this.#timer = this.#clock.every(100, () => this.#look())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#server?.close()
    for (const link of this.#links) link.destroy()
  }

  #accept(end: Socket | LocalTransport): void {
    const link: FrameLink = new FrameLink(end, {
      handles: false,
      take: (_kind, bytes) => this.#heard(link, JSON.parse(bytes.toString()) as ToSequencer),
      closed: () => {
        this.#links.delete(link)
        for (const [name, opening] of this.#opening) if (opening.link === link) this.#opening.delete(name)
        for (const member of this.#members.values()) if (member.link === link) this.#remove(member, true)
      },
    })
    this.#links.add(link)
  }

  #tell(link: FrameLink, message: FromSequencer): void {
    this.#write(link, Buffer.from(JSON.stringify(message)))
  }

  #write(link: FrameLink, bytes: Buffer): void {
    if (link.waiting > waitingBytesMax) link.destroy()
    else link.write(0, bytes)
  }

  #all(message: FromSequencer): void {
    const bytes = Buffer.from(JSON.stringify(message))
    for (const { link } of this.#members.values()) this.#write(link, bytes)
  }

  #heard(link: FrameLink, message: ToSequencer): void {
    if (message[0] === 'open') return this.#open(link, message)
    const member = [...this.#members.values()].find(one => one.link === link)
    if (member === undefined) return
    const answer = (id: number, value: unknown): void => this.#tell(link, ['ok', id, value])
    switch (message[0]) {
      case 'beat':
        member.lastSign = this.#clock.now()
        member.node = { ...member.node, facts: message[1] }
        this.#lives(member.node.name)
        return this.#all(['beat', member.node.name, message[1]])
      case 'say':
        return this.#all(['said', member.node.name, message[1], message[2], message[3]])
      case 'row': {
        const [, id, table, key, value] = message
        let rows = member.tables.get(table)
        if (rows === undefined) member.tables.set(table, (rows = new Map()))
        if (value === null) rows.delete(key)
        else rows.set(key, value)
        return answer(id, null)
      }
      case 'rows': {
        const [, id, name, boot, table] = message
        const rows = [...(this.#of(name, boot)?.tables.get(table) ?? [])]
        for (let at = 0; at < rows.length; at += rowsPerPart) this.#tell(link, ['rows', id, rows.slice(at, at + rowsPerPart)])
        return answer(id, null)
      }
      case 'take': {
        const [, id, name, boot, table, key] = message
        return answer(id, this.#of(name, boot)?.tables.get(table)?.delete(key) === true)
      }
      case 'agree': {
        const [, id, name, value] = message
        if (!this.#agreed.has(name)) this.#agreed.set(name, value)
        return answer(id, this.#agreed.get(name))
      }
      case 'done':
        return void this.#dead.delete(keyOf(message[1], message[2]))
      case 'bye':
        this.#remove(member, false)
        return answer(message[1], null)
    }
  }

  #of(name: string, boot: string): Member | undefined {
    const member = this.#members.get(name)
    return member?.node.boot === boot ? member : this.#dead.get(keyOf(name, boot))
  }

  #open(link: FrameLink, [, id, node, heartbeatMs, expiryMs]: ToSequencer & { readonly 0: 'open' }): void {
    const before = this.#members.get(node.name)
    if (before === undefined) return this.#join(link, id, node, expiryMs)
    // It may have died a moment ago. A sign of life says that it has not.
    const timer = this.#clock.after(heartbeatMs * twiceBeats, () => {
      if (this.#opening.get(node.name)?.link !== link) return
      const still = this.#members.get(node.name)
      if (still !== undefined) this.#remove(still, true)
    })
    this.#opening.set(node.name, { link, id, node, expiryMs, timer })
  }

  #lives(name: string): void {
    const opening = this.#opening.get(name)
    if (opening === undefined) return
    this.#opening.delete(name)
    opening.timer.cancel()
    this.#tell(opening.link, ['no', opening.id])
  }

  #join(link: FrameLink, id: number, node: Node, expiryMs: number): void {
    for (const member of this.#members.values()) this.#tell(link, ['joined', member.node])
    this.#all(['joined', node])
    this.#members.set(node.name, { node, link, tables: new Map(), lastSign: this.#clock.now(), expiryMs })
    this.#tell(link, ['ok', id, null])
  }

  #remove(member: Member, died: boolean): void {
    const { name, boot } = member.node
    if (this.#members.get(name) !== member) return
    this.#members.delete(name)
    this.#all(['left', member.node, died])
    const [heir] = this.#members.values()
    if (died && heir !== undefined) {
      this.#dead.set(keyOf(name, boot), member)
      this.#tell(heir.link, ['inherit', member.node])
    }
    if (died) member.link.destroy()
    const opening = this.#opening.get(name)
    if (opening === undefined) return
    this.#opening.delete(name)
    opening.timer.cancel()
    this.#join(opening.link, opening.id, opening.node, opening.expiryMs)
  }

  #look(): void {
    const now = this.#clock.now()
    for (const member of this.#members.values()) if (now - member.lastSign > member.expiryMs) this.#remove(member, true)
  }
}

function keyOf(name: string, boot: string): string {
  return `${name}\0${boot}`
}
