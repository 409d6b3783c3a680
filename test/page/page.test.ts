import { afterAll, beforeAll, expect, test } from 'vitest'
import { readRecording } from '../../presets/testing/replay/recording.ts'
import { beforeAllBuilt } from '../config/built.ts'
import { Browser, sizes } from './browser.ts'
import { type Demo, startDemo } from './demo.ts'
import { show, views, violations } from './views.ts'

// Goal: the page in a real browser. One Chromium and one broker for all of it; whatever a view asks for it asks a real broker for.
beforeAllBuilt()

let browser: Browser
let demo: Demo

beforeAll(async () => {
  demo = await startDemo({ steps: 4, busy: 60, devices: 24 })
  browser = await Browser.start()
})

afterAll(async () => {
  await browser?.stop()
  await demo?.broker.stop()
})

/** Enters by an address that is good once. */
async function enter(role: 'read' | 'operate' | 'admin' = 'admin'): Promise<void> {
  await browser.open(await demo.entrance(role))
  await browser.until(`document.querySelector('main h1')?.innerText === 'Overview'`)
}

const text = (): Promise<string> => browser.evaluate('document.body.innerText')
const press = (name: string): Promise<void> =>
  browser.evaluate(`[...document.querySelectorAll('button, a')].find(one => one.innerText.trim() === ${JSON.stringify(name)}).click()`)
const type = (selector: string, value: string): Promise<void> =>
  browser.evaluate(
    `{ const input = document.querySelector(${JSON.stringify(selector)}); Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, ${JSON.stringify(value)}); input.dispatchEvent(new Event('input', { bubbles: true })) }`,
  )

test('an address lets in once: its token is gone from the address bar, and whoever opens it again is asked for one', async () => {
  await browser.look(sizes[0]!, 'light')
  const address = await demo.entrance('read')
  await browser.open(address)
  await browser.until(`document.querySelector('main h1')?.innerText === 'Overview'`)
  expect(await browser.evaluate('location.href')).not.toContain('enter')
  expect(await browser.evaluate('Object.keys(localStorage).length + document.cookie.length')).toBe(0)
  // Whoever may only read is offered nothing else.
  await browser.evaluate(`location.hash = '#/clients/press-001'`)
  await browser.until(`document.querySelector('main').innerText.includes('Keep alive')`)
  expect(await text()).not.toContain('Send away')

  expect(browser.complaints.splice(0)).toEqual([])
  await browser.evaluate('sessionStorage.clear()')
  await browser.open(address)
  await browser.until(`document.querySelector('[role=alert]') !== null`)
  expect(await text()).toMatch(/Sign in[\s\S]*this address of the page was used/)
  expect(await violations(browser)).toEqual([])
  // The browser's own word for the refusal.
  expect(browser.complaints.splice(0)).toEqual([expect.stringMatching(/401.*\/v1\/session/)])
})

test('nothing inline runs, and nothing from elsewhere', async () => {
  await enter()
  const blocked = await browser.evaluate<string[]>(`new Promise(done => {
    const seen = []
    addEventListener('securitypolicyviolation', event => { seen.push(event.effectiveDirective); if (seen.length === 3) done(seen.sort()) })
    const image = new Image()
    image.src = 'https://elsewhere.example/x.png'
    const style = document.createElement('style')
    style.textContent = 'body { display: none }'
    document.head.append(style)
    const script = document.createElement('script')
    try { script.textContent = 'window.ran = true' } catch {}
    document.body.append(script)
  })`)
  expect(blocked).toEqual(['img-src', 'require-trusted-types-for', 'style-src-elem'])
  expect(await browser.evaluate('window.ran')).toBeUndefined()
  browser.complaints.splice(0)
})

test('every view at both sizes, light and dark: no complaint of the browser, no violation of axe-core', async () => {
  await demo.trouble()
  for (let i = 0; i < 25; i++) await demo.step()
  for (const [i, size] of sizes.entries()) {
    await browser.look(size, i === 0 ? 'light' : 'dark')
    await enter()
    for (const view of views) {
      await show(browser, view)
      expect([view.name, size.name, await violations(browser)]).toEqual([view.name, size.name, []])
      expect([view.name, await browser.evaluate('document.documentElement.scrollWidth <= innerWidth')]).toEqual([view.name, true])
    }
  }
  // What a phone has no room for below the view.
  await browser.evaluate(`document.querySelector('.bottom button').click()`)
  await browser.until(`document.querySelector('.sheet[open]') !== null`)
  expect(await violations(browser)).toEqual([])
  await browser.evaluate(`[...document.querySelectorAll('.sheet a')].find(one => one.innerText === 'Nodes').click()`)
  await browser.until(`document.querySelector('main h1').innerText === 'Nodes' && document.querySelector('.sheet[open]') === null`)
  expect(browser.complaints.splice(0)).toEqual([])
})

test('one client: why it gets nothing, and it is sent away once somebody has said yes', async () => {
  await browser.look(sizes[0]!, 'light')
  await enter('operate')
  await browser.evaluate(`location.hash = '#/clients/paint-001'`)
  await browser.until(`document.querySelector('.why input') !== null`)
  await browser.evaluate(
    `{ const select = document.querySelector('.why select'); select.value = 'publish'; select.dispatchEvent(new Event('change', { bubbles: true })) }`,
  )
  await type('.why input', 'plant/paint/1/set')
  await press('Ask')
  await browser.until(`document.querySelector('.why-verdict.bad') !== null`)
  expect(await text()).toContain('topicSecurity.rules[0] denies')
  // Its role ends no sessions.
  expect(await text()).not.toContain('End session')
  await press('Send away')
  await browser.until(`document.querySelector('dialog[open]')?.innerText.includes('paint-001')`)
  expect(await violations(browser)).toEqual([])
  await browser.evaluate(`document.querySelector('dialog[open] .solid').click()`)
  await browser.until(`document.querySelector('main').innerText.includes('not known')`)
  expect((await demo.broker.broker.inspect('audit')).rows[0]).toMatchObject({
    actor: 'ada',
    via: 'http',
    verb: 'kick',
    target: 'id=paint-001',
  })
})

test('messages show as they pass, until somebody stops', async () => {
  await enter()
  await browser.evaluate(`location.hash = '#/tail'`)
  await browser.until(`document.querySelector('input[aria-label="Topic filter"]') !== null`)
  await type('input[aria-label="Topic filter"]', 'plant/press/#')
  await browser.evaluate(`document.querySelector('.tick input').click()`)
  await press('Start')
  await browser.until(`document.querySelector('main').innerText.includes('Waiting for a message')`)
  await demo.broker.publish({ topic: 'plant/paint/9', payload: 'another' })
  await demo.broker.publish({ topic: 'plant/press/9', payload: '<img src=x onerror=alert(1)>' })
  await browser.until(`document.querySelectorAll('.virtual-row').length > 0`)
  expect(await text()).toMatch(/plant\/press\/9[\s\S]*<img src=x/)
  expect(await text()).not.toContain('plant/paint/9')
  await press('Stop')
  await browser.until(`document.querySelector('main').innerText.includes('stopped')`)
  expect(browser.complaints.splice(0)).toEqual([])
})

test('the packets of a client show as they pass, and its recording is what replay reads', async () => {
  await enter('operate')
  await browser.evaluate(`location.hash = '#/clients/press-002'`)
  await browser.until(`document.querySelector('a[href="#/trace/press-002"]') !== null`)
  await browser.evaluate(`document.querySelector('a[href="#/trace/press-002"]').click()`)
  await browser.until(`document.querySelector('input[aria-label="Whose packets"]')?.value === 'press-002'`)
  await press('Start')
  await browser.until(`document.querySelectorAll('.virtual-row').length === 1`)
  expect(await text()).toContain('a session')
  await demo.publishFrom('press-002', 'plant/press/2/alarm')
  await browser.until(`document.querySelector('main').innerText.includes('plant/press/2/alarm')`)
  await press('Stop')
  await browser.until(`document.querySelector('main').innerText.includes('stopped')`)
  // What would be saved, as it would be written.
  await browser.evaluate(
    `{ const made = URL.createObjectURL; URL.createObjectURL = blob => { window.saved = blob.text(); return made.call(URL, blob) }; HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download } }`,
  )
  await browser.evaluate(
    `[...document.querySelectorAll('button')].find(one => one.innerText === 'Save recording').dispatchEvent(new MouseEvent('click', { bubbles: true }))`,
  )
  const saved = await browser.evaluate<string>('window.saved')
  const { lines } = readRecording(
    saved
      .trim()
      .split('\n')
      .map(line => JSON.parse(line)),
  )
  expect([await browser.evaluate('window.savedAs'), lines[0]!.line.way]).toEqual(['press-002.jsonl', 'open'])
  // Whoever may only read traces nobody.
  await enter('read')
  await browser.evaluate(`location.hash = '#/trace'`)
  await browser.until(`document.querySelector('main').innerText.includes('may not trace')`)
  expect(browser.complaints.splice(0)).toEqual([])
})

test('somebody is banned and let in again, and a queue is cleared, by those whose role lets them', async () => {
  const { broker } = demo.broker
  await browser.look(sizes[1]!, 'light')
  await enter('operate')
  await browser.evaluate(`location.hash = '#/clients/packing-003'`)
  await browser.until(`document.querySelector('a[href="#/bans/packing-003"]') !== null`)
  await press('Ban')
  await browser.until(`document.querySelector('.fields input')?.value === 'packing-003'`)
  // A phone has room for all of it.
  expect(
    await browser.evaluate(`[...document.querySelectorAll('.fields input, .fields select')].map(one => one.offsetParent !== null)`),
  ).toEqual([true, true, true, true])
  await browser.evaluate(`document.querySelector('.fields .solid').click()`)
  await browser.until(`document.querySelector('main').innerText.includes('packing-003 is banned; 1 connection was closed here')`)
  expect((await broker.inspect('bans', { match: 'packing-003' })).rows).toMatchObject([{ by: 'id', name: 'packing-003', actor: 'ada' }])
  expect(broker.clientOf('packing-003')).toBeUndefined()
  expect(await violations(browser)).toEqual([])
  const row = `[...document.querySelectorAll('tbody tr')].find(one => one.innerText.includes('packing-003'))`
  await browser.until(`${row} !== undefined`)
  await browser.evaluate(`${row}.querySelector('button').click()`)
  await browser.until(`document.querySelector('dialog[open]')?.innerText.includes('packing-003')`)
  await browser.evaluate(`document.querySelector('dialog[open] .solid').click()`)
  await browser.until(`${row} === undefined`)
  expect((await broker.inspect('bans', { match: 'packing-003' })).rows).toEqual([])
  await enter('read')
  await browser.evaluate(`location.hash = '#/bans'`)
  await browser.until(`document.querySelectorAll('main tbody tr').length === 2`)
  expect(await browser.evaluate(`document.querySelector('main form') === null && document.querySelector('tbody button') === null`)).toBe(
    true,
  )

  // Only the role admin throws away what was acknowledged.
  const historian = `location.hash = '#/clients/historian'`
  await enter('operate')
  await browser.evaluate(historian)
  await browser.until(`document.querySelectorAll('main table tbody tr').length > 5`)
  expect(await text()).not.toContain('Clear queue')
  await enter('admin')
  await browser.evaluate(historian)
  await browser.until(`document.querySelector('main').innerText.includes('Clear queue')`)
  await press('Clear queue')
  await browser.until(`document.querySelector('dialog[open]') !== null`)
  const before = (await broker.inspect('queue', { id: 'historian' })).messages
  await browser.evaluate(`document.querySelector('dialog[open] .solid').click()`)
  await browser.until(`document.querySelector('dialog[open]') === null`)
  expect((await broker.inspect('queue', { id: 'historian' })).messages).toBeLessThan(before)
  expect(browser.complaints.splice(0)).toEqual([])
})

test('10,000 clients: all of them are listed, with at most 60 rows in the document', async () => {
  await demo.crowd(10_000)
  await enter('read')
  await browser.evaluate(
    `window.most = 0; new MutationObserver(() => { window.most = Math.max(window.most, document.querySelectorAll('.virtual-row').length) }).observe(document, { subtree: true, childList: true }); true`,
  )
  await browser.evaluate(`location.hash = '#/clients'`)
  await browser.until(`document.querySelectorAll('.virtual-row').length > 10`)
  const { connected } = demo.broker.broker.counters
  // As somebody does who wants to see the end.
  await browser.until(
    `(document.querySelector('.virtual-frame').scrollTop = 1e9, document.querySelector('.virtual-foot').innerText === '${connected.toLocaleString('en-GB')} shown')`,
  )
  await browser.until(`document.querySelector('.virtual').innerText.includes('scada')`)
  expect(await browser.evaluate('window.most')).toBeLessThanOrEqual(60)
  await type('input[aria-label="Part of a client id"]', 'meter-09999')
  await browser.until(`document.querySelectorAll('.virtual-row').length === 1`)
  await press('meter-09999')
  await browser.until(`document.querySelector('main h1').innerText === 'meter-09999'`)
  expect(browser.complaints.splice(0)).toEqual([])
})
