// Before anything is drawn, so that nobody who has chosen dark sees a white page first.
{
  let theme = null
  try {
    theme = localStorage.getItem('theme')
  } catch {
    // A browser may keep nothing.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
}
