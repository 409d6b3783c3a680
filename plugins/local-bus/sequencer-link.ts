import { join } from 'node:path'
import { StoreAwayError } from '../../core/sessions/session-store.ts'
import { FrameLink } from './frames.ts'
import type { LocalWays } from './local-ways.ts'
import { type FromSequencer, sequencerSocket, type ToSequencer } from './sequence.ts'

interface Question {
  resolve(value: never): void
  reject(error: Error): void
  readonly rows: [string, string][]
}

/** This worker's connection to the sequencer: questions, and what all are told. */
export class SequencerLink {
  readonly #link: FrameLink
  readonly #questions = new Map<number, Question>()
  readonly #heard: (message: FromSequencer) => void
  #id = 0
  isOpen = true

  /** `heard`: what is no answer. `closed`: the connection has ended. */
  constructor(ways: LocalWays, folder: string, heard: (message: FromSequencer) => void, closed: () => void) {
    this.#heard = heard
    this.#link = new FrameLink(ways.connect(join(folder, sequencerSocket)), {
      handles: false,
      take: (_kind, bytes) => this.#take(JSON.parse(bytes.toString()) as FromSequencer),
      closed: () => {
        this.isOpen = false
        for (const { reject } of this.#questions.values()) reject(new StoreAwayError('the supervisor of this worker does not answer'))
        this.#questions.clear()
        closed()
      },
    })
  }

  #take(message: FromSequencer): void {
    switch (message[0]) {
      case 'ok':
        return this.answered(message[1], message[2])
      case 'no': {
        const question = this.#questions.get(message[1])
        this.#questions.delete(message[1])
        return question?.reject(new Error('twice'))
      }
      case 'rows':
        this.#questions.get(message[1])?.rows.push(...(message[2] as [string, string][]))
        return
      default:
        return this.#heard(message)
    }
  }

  /** A question is answered; announcements answer themselves when they are heard. */
  answered(id: number, value: unknown): void {
    const question = this.#questions.get(id)
    this.#questions.delete(id)
    question?.resolve((question.rows.length > 0 ? question.rows : value) as never)
  }

  /** Says something that nobody answers. */
  say(message: ToSequencer): void {
    if (this.isOpen) this.#link.write(0, Buffer.from(JSON.stringify(message)))
  }

  ask<T>(message: (id: number) => ToSequencer): Promise<T> {
    if (!this.isOpen) return Promise.reject(new StoreAwayError('the supervisor of this worker does not answer'))
    this.#id += 1
    const id = this.#id
    return new Promise<T>((resolve, reject) => {
      this.#questions.set(id, { resolve: resolve as never, reject, rows: [] })
      this.say(message(id))
    })
  }

  close(): void {
    this.#link.destroy()
  }
}
