// The hub of a bus on plain TCP: one small process that all nodes are connected to, and that gives what they announce its one order.
//
//   TCP_BUS_SECRET=… node hub.ts 7000 [ADDRESS]
//
// What the hub tells a node is numbered and kept until the node has it, and what a node asks is numbered too, so a connection that breaks and comes back has
// missed nothing and repeats nothing. The hub keeps all of it in memory: when it ends, its nodes join the next one as if they had been taken for dead.
// The secret goes over the wire as it is, so hub and nodes belong into one private network.
import { timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import type { Node } from 'mqttx-broker'
import { type Frame, Frames } from './frames.ts'

type Table = Map<string, Buffer>
type Head = Frame['head']

interface Member {
  node: Node
  readonly heartbeatMs: number
  readonly expiryMs: number
  lastSign: number
  /** Null while its connection is away. */
  frames: Frames | null
  readonly tables: Map<string, Table>
  /** What it was told and has not confirmed, by number. */
  readonly told: Map<number, Frame>
  toldBytes: number
  lastTold: number
  /** The number of its last question that was dealt with. */
  lastAsked: number
  /** Bytes that were posted to it and that it has not dealt with. */
  inbox: number
  readonly walks: Map<unknown, Iterator<[string, Buffer]>>
}

/** A dead node's tables wait for their heir. */
interface Estate {
  readonly node: Node
  readonly tables: Map<string, Table>
  heir: Member | null
}

export interface HubOptions {
  /** What nodes have to show. At least 16 characters. */
  readonly secret: string
  /** Bytes that may wait for one node. Beyond it a post is refused, and a node that does not take what is announced is taken for dead. Default 64 MiB. */
  readonly inboxMax?: number
}

const rowsAtOnce = 500

export class Hub {
  readonly #server: Server
  readonly #secret: Buffer
  readonly #inboxMax: number
  readonly #members = new Map<string, Member>()
  readonly #agreed = new Map<string, string>()
  readonly #connections = new Set<Frames>()
  #estates: Estate[] = []
  readonly #watch: NodeJS.Timeout

  constructor({ secret, inboxMax = 64 * 1024 * 1024 }: HubOptions) {
    if (secret.length < 16) throw new RangeError('the secret of the hub has at least 16 characters; set TCP_BUS_SECRET')
    this.#secret = Buffer.from(secret)
    this.#inboxMax = inboxMax
    this.#watch = setInterval(() => this.#removeDead(), 25)
    this.#server = createServer(socket => {
      let member: Member | null = null
      const frames: Frames = new Frames(
        socket,
        frame => {
          if (member !== null) this.#asked(member, frame)
          else if (frame.head.kind !== 'hello' || !this.#knows(frame.head.secret)) socket.destroy()
          else this.#hello(frame.head, frames, admitted => void (member = admitted))
        },
        () => {
          this.#connections.delete(frames)
          if (member?.frames === frames) member.frames = null
        },
      )
      this.#connections.add(frames)
    })
  }

  /** Resolves to the port; 0 takes a free one. */
  async listen(port: number, host = '127.0.0.1'): Promise<number> {
    await new Promise<void>((resolve, reject) => this.#server.once('error', reject).listen(port, host, resolve))
    return (this.#server.address() as { port: number }).port
  }

  async close(): Promise<void> {
    clearInterval(this.#watch)
    for (const { socket } of this.#connections) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #knows(secret: unknown): boolean {
    const given = Buffer.from(String(secret))
    return given.length === this.#secret.length && timingSafeEqual(given, this.#secret)
  }

  #hello(head: Head, frames: Frames, admit: (member: Member) => void): void {
    const { name, boot, facts, heartbeatMs, expiryMs, isBack, agreed } = head as {
      name: string
      boot: string
      agreed: [string, string][]
    } & Head
    const known = this.#members.get(name)
    if (known !== undefined && known.node.boot === boot) return this.#resumes(known, head, frames, admit)
    if (isBack === true) return frames.send({ kind: 'unknown' })
    // A name that is taken is free again if its owner gives no sign of life for two heartbeats and a half.
    if (known !== undefined) {
      const { lastSign } = known
      setTimeout(() => {
        if (frames.socket.destroyed) return
        if (this.#members.get(name) === known && known.lastSign !== lastSign) return frames.send({ kind: 'taken' })
        if (this.#members.get(name) === known) this.#remove(known, true)
        this.#hello(head, frames, admit)
      }, known.heartbeatMs * 2.5)
      return
    }
    for (const [key, value] of agreed) if (!this.#agreed.has(key)) this.#agreed.set(key, value)
    const node: Node = { name, boot, facts: facts as Node['facts'] }
    const member: Member = {
      node,
      heartbeatMs: Number(heartbeatMs),
      expiryMs: Number(expiryMs),
      lastSign: performance.now(),
      frames,
      tables: new Map(),
      told: new Map(),
      toldBytes: 0,
      lastTold: 0,
      lastAsked: 0,
      inbox: 0,
      walks: new Map(),
    }
    frames.send({ kind: 'welcome', isBack: false, nodes: [...this.#members.values()].map(other => other.node) })
    this.#all({ kind: 'joined', node })
    this.#members.set(name, member)
    admit(member)
    this.#bequeath()
  }

  /** The same run of a node, whose connection was away: it gets what it has not got. */
  #resumes(member: Member, { got }: Head, frames: Frames, admit: (member: Member) => void): void {
    member.frames?.socket.destroy()
    member.frames = frames
    member.lastSign = performance.now()
    this.#confirmed(member, Number(got))
    frames.send({ kind: 'welcome', isBack: true, lastAsked: member.lastAsked })
    for (const { head, body } of member.told.values()) frames.send(head, body)
    admit(member)
  }

  #asked(member: Member, { head, body }: Frame): void {
    const { name } = member.node
    // It may have been taken for dead meanwhile.
    if (this.#members.get(name) !== member) return void member.frames?.socket.destroy()
    member.lastSign = performance.now()
    if (head.got !== undefined) this.#confirmed(member, Number(head.got))
    if (head.done !== undefined) member.inbox -= Number(head.done)
    if (typeof head.id === 'number') {
      if (head.id <= member.lastAsked) return
      member.lastAsked = head.id
    }
    const answer = (value: object = {}, bytes?: Buffer): void => this.#tell(member, { kind: 'answer', to: head.id, ...value }, bytes)
    switch (head.kind) {
      case 'beat': {
        member.node = { ...member.node, facts: head.facts as Node['facts'] }
        for (const other of this.#members.values()) other.frames?.send({ kind: 'facts', name, facts: head.facts })
        return
      }
      case 'announce':
        this.#all({ kind: 'announced', from: name, record: head.record })
        return answer()
      case 'tell': {
        const to = this.#members.get(String(head.node))
        // What is told may be lost: whoever does not read has enough to do.
        if (to?.frames != null && to.frames.socket.writableLength < this.#inboxMax) to.frames.send({ kind: 'told', from: name }, body)
        return
      }
      case 'post': {
        const to = this.#members.get(String(head.node))
        if (to === undefined) return answer()
        if (to.inbox > 0 && to.inbox + body.length > this.#inboxMax) return answer({ full: true })
        to.inbox += body.length
        this.#tell(to, { kind: 'posted', from: name }, body)
        return answer()
      }
      case 'setRow': {
        const rows = tableOf(member.tables, String(head.table))
        if (head.isGone === true) rows.delete(String(head.key))
        else rows.set(String(head.key), body)
        return answer()
      }
      case 'takeRow':
        return answer({ value: this.#table(head)?.delete(String(head.key)) ?? false })
      case 'rows': {
        const walk = member.walks.get(head.walk) ?? (this.#table(head) ?? (new Map() as Table)).entries()
        const rows = [
          ...(function* () {
            for (let i = 0; i < rowsAtOnce; i++) {
              const { value, done } = walk.next()
              if (done === true) return
              yield value
            }
          })(),
        ]
        if (rows.length < rowsAtOnce) member.walks.delete(head.walk)
        else member.walks.set(head.walk, walk)
        const sizes = rows.map(([key, value]) => [key, value.length])
        return answer({ sizes, more: rows.length === rowsAtOnce }, Buffer.concat(rows.map(([, value]) => value)))
      }
      case 'agree': {
        const key = String(head.name)
        if (!this.#agreed.has(key)) this.#agreed.set(key, String(head.value))
        return answer({ value: this.#agreed.get(key) })
      }
      case 'inherited':
        this.#estates = this.#estates.filter(({ node }) => node.boot !== head.boot)
        return
      case 'leave':
        this.#remove(member, false)
        member.frames?.socket.end()
        return
    }
  }

  /** What a node is told in order and for certain. One that does not take it counts as dead. */
  #tell(member: Member, head: object, body: Buffer = Buffer.alloc(0)): void {
    const number = ++member.lastTold
    const frame = { head: { ...head, number }, body }
    member.told.set(number, frame)
    member.toldBytes += body.length + 200
    member.frames?.send(frame.head, body)
    if (member.toldBytes > 2 * this.#inboxMax) setImmediate(() => this.#remove(member, true))
  }

  #confirmed(member: Member, got: number): void {
    for (const [number, { body }] of member.told) {
      if (number > got) return
      member.told.delete(number)
      member.toldBytes -= body.length + 200
    }
  }

  #all(head: object): void {
    for (const member of this.#members.values()) this.#tell(member, head)
  }

  #removeDead(): void {
    const now = performance.now()
    for (const member of this.#members.values()) if (now - member.lastSign > member.expiryMs) this.#remove(member, true)
  }

  #remove(member: Member, died: boolean): void {
    const { node, tables } = member
    if (this.#members.get(node.name) !== member) return
    this.#members.delete(node.name)
    if (died) member.frames?.socket.destroy()
    this.#all({ kind: 'left', node, died })
    for (const estate of this.#estates) if (estate.heir === member) estate.heir = null
    if (died) this.#estates.push({ node, tables, heir: null })
    this.#bequeath()
  }

  /** Each estate has one heir; where that dies too, or there is nobody, the next one. */
  #bequeath(): void {
    const [heir] = this.#members.values()
    if (heir === undefined) return
    for (const estate of this.#estates) {
      if (estate.heir !== null) continue
      estate.heir = heir
      this.#tell(heir, { kind: 'inherited', node: estate.node })
    }
  }

  #table({ node, boot, table }: Head): Table | undefined {
    const member = this.#members.get(String(node))
    const tables = member?.node.boot === boot ? member?.tables : this.#estates.find(estate => estate.node.boot === boot)?.tables
    return tables?.get(String(table))
  }
}

function tableOf(tables: Map<string, Table>, name: string): Table {
  let table = tables.get(name)
  if (table === undefined) tables.set(name, (table = new Map()))
  return table
}

if (process.argv[1] === import.meta.filename) {
  const hub = new Hub({ secret: process.env.TCP_BUS_SECRET ?? '' })
  const port = await hub.listen(Number(process.argv[2] ?? 7000), process.argv[3])
  console.log(`the hub listens on port ${port}`)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void hub.close())
}
