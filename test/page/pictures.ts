// `npm run pictures`: photographs every view of the page at both sizes, light and dark, into docs/pictures; fails where the browser complains or axe-core finds a violation.
//   --png FOLDER   writes PNG files there in place of WebP into docs/pictures
//   NAME…          only these views
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Browser, sizes } from './browser.ts'
import { startDemo } from './demo.ts'
import { show, type View, views, violations } from './views.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { png: { type: 'string' } } })
const folder = values.png ?? fileURLToPath(new URL('../../docs/pictures', import.meta.url))
const format = values.png === undefined ? 'webp' : 'png'
const wanted = (name: string): boolean => positionals.length === 0 || positionals.includes(name)

const demo = await startDemo({ steps: 205, busy: 220, idleMs: 15, later: 26, level: 'info' })
const browser = await Browser.start()
const problems: string[] = []

async function photograph(view: View): Promise<void> {
  for (const size of sizes)
    for (const theme of ['light', 'dark'] as const) {
      await browser.look(size, theme)
      await browser.evaluate('document.querySelector("main").scrollTo(0, 0)')
      // Charts are drawn anew for the size and the theme.
      await browser.evaluate('new Promise(done => setTimeout(done, 300))')
      for (const problem of await violations(browser)) problems.push(`${view.name}, ${size.name}, ${theme}: ${problem}`)
      await writeFile(join(folder, `${view.name}-${size.name}-${theme}.${format}`), await browser.picture(format))
    }
}

try {
  await mkdir(folder, { recursive: true })
  await browser.look(sizes[0]!, 'light')
  await browser.open(`${new URL(await demo.entrance()).origin}/`)
  await browser.until(`document.querySelector('.login') !== null`)
  await browser.evaluate('document.activeElement?.blur()')
  if (wanted('login')) {
    for (const size of sizes)
      for (const theme of ['light', 'dark'] as const) {
        await browser.look(size, theme)
        await writeFile(join(folder, `login-${size.name}-${theme}.${format}`), await browser.picture(format))
      }
  }
  await browser.open(await demo.entrance())
  await browser.until(`document.querySelector('main h1') !== null`)
  const [overview, ...others] = views
  // When all is well, and after that with something to see in each view.
  if (wanted('overview')) {
    await show(browser, overview!)
    await photograph(overview!)
  }
  await demo.trouble()
  for (let i = 0; i < 25; i++) await demo.step()
  const alarmed = { ...overview!, name: 'overview-alarm' }
  if (wanted(alarmed.name)) {
    await show(browser, overview!)
    await browser.until(`document.querySelector('.verdict.warn') !== null`)
    await photograph(alarmed)
  }
  for (const view of others) {
    if (!wanted(view.name)) continue
    await browser.look(sizes[0]!, 'light')
    await show(browser, view)
    await prepare(view.name)
    await photograph(view)
  }
  if (wanted('more'))
    for (const theme of ['light', 'dark'] as const) {
      await browser.look(sizes[1]!, theme)
      await browser.evaluate(`document.querySelector('.bottom button').click()`)
      await browser.until(`document.querySelector('.sheet[open]') !== null`)
      for (const problem of await violations(browser)) problems.push(`more, phone, ${theme}: ${problem}`)
      await writeFile(join(folder, `more-phone-${theme}.${format}`), await browser.picture(format))
      await browser.evaluate(`document.querySelector('.sheet .button').click()`)
      await browser.evaluate('new Promise(done => setTimeout(done, 300))')
    }
} finally {
  problems.push(...browser.complaints)
  await browser.stop()
  await demo.broker.stop()
}
for (const problem of problems) console.error(problem)
process.exit(problems.length === 0 ? 0 : 1)

/** Does in a view what somebody would do there. */
async function prepare(name: string): Promise<void> {
  const set = (selector: string, value: string): Promise<void> =>
    browser.evaluate(
      `{ const field = document.querySelector(${JSON.stringify(selector)}); Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value').set.call(field, ${JSON.stringify(value)}); field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true })) }`,
    )
  if (name === 'client') {
    await set('.why input', 'plant/press/1/temperature')
    await browser.evaluate(`document.querySelector('.why .solid').click()`)
    await browser.until(`document.querySelector('.why-verdict') !== null`)
  } else if (name === 'clients') {
    await set('.sort select', 'queued')
    await browser.until(`document.querySelector('.virtual-row').innerText.includes('historian')`)
  } else if (name === 'retained') {
    for (const level of ['press', '12', 'state']) {
      const branch = `[...document.querySelectorAll('.tree .tree .branch')].find(one => one.querySelector('.mono').innerText === '${level}')`
      await browser.until(`${branch} !== undefined`)
      await browser.evaluate(`${branch}.click()`)
    }
    await browser.until(`document.querySelector('.message') !== null`)
  } else if (name === 'tail') {
    await set('input[aria-label="Topic filter"]', 'plant/#')
    await browser.evaluate(`document.querySelector('.tick input').click()`)
    await browser.evaluate(`document.querySelector('form.filters .button').click()`)
    await browser.until(`document.querySelector('main').innerText.includes('Waiting for a message')`)
    await demo.step()
    await browser.until(`document.querySelectorAll('.virtual-row').length > 10`)
  } else if (name === 'trace') {
    await browser.evaluate(`document.querySelector('form.filters .button').click()`)
    await browser.until(
      `document.querySelector('main').innerText.includes('Waiting for a packet') || document.querySelector('.virtual-row') !== null`,
    )
    for (let i = 0; i < 12; i++) await demo.step()
    await browser.until(`document.querySelectorAll('.virtual-row').length > 10`)
  } else if (name === 'config') {
    await set('input[type=search]', 'admin')
  }
}
