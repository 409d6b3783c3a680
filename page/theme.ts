import { useEffect, useState } from 'preact/hooks'

/** As the system says, or one that somebody has chosen. */
export type Theme = 'system' | 'light' | 'dark'

const changed = new EventTarget()
const system = matchMedia('(prefers-color-scheme: dark)')
system.addEventListener('change', () => changed.dispatchEvent(new Event('change')))

/** The theme that was chosen. */
export function chosenTheme(): Theme {
  return (document.documentElement.dataset.theme as Theme | undefined) ?? 'system'
}

/** Chooses one, for this browser. */
export function chooseTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
  try {
    localStorage.setItem('theme', theme)
  } catch {
    // Then it holds until the page is left.
  }
  changed.dispatchEvent(new Event('change'))
}

/** Whether the page is dark, now and from now on; for what is drawn on a canvas. */
export function useDark(): boolean {
  const isDark = (): boolean => (chosenTheme() === 'system' ? system.matches : chosenTheme() === 'dark')
  const [dark, set] = useState(isDark)
  useEffect(() => {
    const follow = (): void => set(isDark())
    changed.addEventListener('change', follow)
    return () => changed.removeEventListener('change', follow)
  }, [])
  return dark
}
