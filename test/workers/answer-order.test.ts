import { expect, test } from 'vitest'
import { AnswerOrder } from '../../plugins/local-bus/answer-order.ts'

// Goal: what is called for one session is answered in the order of the calls, however many steps each answer takes.

/** A promise that resolves when it is told, after so many steps of its own. */
function later(steps: number) {
  let begin = (): void => {}
  let promise = new Promise<void>(resolve => void (begin = resolve))
  for (let i = 0; i < steps; i++) promise = promise.then(() => {})
  return { promise, begin }
}

test('answers that all come in one moment leave in the order of the calls, whatever each had to wait for', async () => {
  const order = new AnswerOrder()
  const answered: number[] = []
  const begins: (() => void)[] = []
  for (let i = 0; i < 40; i++) {
    const { promise, begin } = later(i % 4 === 0 ? 6 : 0)
    begins.push(begin)
    const kind = i % 5
    const answer =
      kind === 0
        ? order.appended(['a', `p${i % 3}`], promise)
        : kind === 1
          ? order.told('a', promise, async () => {})
          : order.behind('a', promise)
    void Promise.resolve(answer).then(() => answered.push(i))
  }
  for (const begin of begins) begin()
  await new Promise(setImmediate)
  expect(answered).toEqual([...Array(40).keys()])
  // Nothing is left that later calls would wait for.
  expect([order.waits(['a', 'p0', 'p1', 'p2']), order.tells, order.behind('a', 1)]).toEqual([false, false, 1])
})

test('an append that fails says so at once, though one before it is yet to be answered; what comes later waits for that one', async () => {
  const order = new AnswerOrder()
  const first = later(0)
  const answers: string[] = []
  void order.appended(['a'], first.promise).then(() => answers.push('first'))
  order.appended(['a'], Promise.reject(new Error('away'))).catch(() => answers.push('failed'))
  void Promise.resolve(order.behind('a', Promise.resolve())).then(() => answers.push('later'))
  await new Promise(setImmediate)
  expect(answers).toEqual(['failed'])
  first.begin()
  await new Promise(setImmediate)
  expect(answers).toEqual(['failed', 'first', 'later'])
})

test('a step of an append does not wait for the append, though all are yet to hear of a session', async () => {
  const order = new AnswerOrder()
  const note = later(0)
  const step = later(0)
  const done = step.promise.then(() => order.behindTold('a', Promise.resolve()))
  const appended = order.appended(['a'], Promise.resolve(done))
  const told = order.told('a', undefined, () => note.promise)
  step.begin()
  note.begin()
  await Promise.all([appended, told])
})

test('a page shows the appends that were called before it', async () => {
  const order = new AnswerOrder()
  const queue: string[] = []
  const kept = later(3)
  void order.appended(
    ['a'],
    kept.promise.then(() => void queue.push('message')),
  )
  const page = order.afterAppends('a', () => [...queue])
  kept.begin()
  expect(await page).toEqual(['message'])
  expect(order.afterAppends('a', () => 'at once')).toBe('at once')
})
