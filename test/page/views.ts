import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Browser } from './browser.ts'

/** A view, where it is, and what shows that it is drawn. */
export interface View {
  readonly name: string
  readonly path: string
  /** Something true in the page as soon as all of it is there. */
  readonly drawn: string
}

const shows = (text: string): string => `document.querySelector('main').innerText.includes(${JSON.stringify(text)})`

/** Every view of the page, as the demo fills it. */
export const views: readonly View[] = [
  { name: 'overview', path: 'overview', drawn: `document.querySelectorAll('.chart canvas').length === 4 && ${shows('Subscriptions')}` },
  { name: 'alarms', path: 'alarms', drawn: `document.querySelector('.alarm-list') !== null && ${shows('refused')}` },
  { name: 'clients', path: 'clients', drawn: `document.querySelectorAll('.virtual-row').length > 5` },
  { name: 'client', path: 'clients/historian', drawn: `document.querySelectorAll('main table tbody tr').length > 5` },
  { name: 'subscriptions', path: 'subscriptions', drawn: `document.querySelectorAll('.virtual-row').length > 5` },
  { name: 'retained', path: 'retained', drawn: `document.querySelectorAll('.tree .tree').length === 2` },
  { name: 'tail', path: 'tail', drawn: shows('Live tail') },
  { name: 'trace', path: 'trace/press-001', drawn: shows('Nothing is traced') },
  { name: 'bans', path: 'bans', drawn: `document.querySelectorAll('main tbody tr').length === 2` },
  { name: 'nodes', path: 'nodes', drawn: shows('Processor') },
  { name: 'bridges', path: 'bridges', drawn: shows('kafka') },
  { name: 'config', path: 'config', drawn: `document.querySelectorAll('main tbody tr').length > 20` },
  { name: 'log', path: 'log', drawn: `document.querySelectorAll('.lines li').length > 0` },
]

/** Goes to a view and waits until it is drawn. */
export async function show(browser: Browser, { path, drawn }: View): Promise<void> {
  await browser.evaluate(`location.hash = '#/${path}'`)
  await browser.until(`document.querySelector('main h1') !== null && ${drawn}`)
  // Two frames later all of it is on the screen.
  await browser.evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))')
}

let axe: string | undefined

/** What axe-core has against what is shown: a line each; none is what it should be. */
export async function violations(browser: Browser): Promise<string[]> {
  axe ??= await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  if (!(await browser.evaluate<boolean>(`'axe' in window`))) await browser.evaluate(`${axe};true`)
  return browser.evaluate(
    `axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, help, nodes }) => id + ': ' + help + ': ' + nodes.map(node => node.html.slice(0, 120) + ' ' + (node.any[0]?.message ?? '')).slice(0, 3).join(' | ')))`,
  )
}
