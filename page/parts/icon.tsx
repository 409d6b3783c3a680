// Strokes in a square of 24; each says the same as the word beside it, so a screen reader passes over it.
const strokes = {
  overview: 'M4 13a8 8 0 0 1 16 0M12 13l4-4M6 18h12',
  alarms: 'M6 16v-5a6 6 0 0 1 12 0v5l1.500 2h-15zM10 21h4',
  clients: 'M5 7h14v8H5zM9 19h6M12 15v4',
  subscriptions: 'M4 6h10M4 12h7M4 18h10M17 8l4 4-4 4',
  retained: 'M5 4h5v5H5zM14 10h5v5h-5zM14 17h5v4h-5zM7.500 9v10H14M7.500 12.500H14',
  tail: 'M4 9a12 12 0 0 1 16 0M7 12.500a7.500 7.500 0 0 1 10 0M10 16a3 3 0 0 1 4 0M12 19h.01',
  trace: 'M4 8h11M12 5l3 3-3 3M20 16H9M12 13l-3 3 3 3',
  bans: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM6.500 6.500l11 11',
  nodes: 'M4 5h16v5H4zM4 14h16v5H4zM8 7.500h.01M8 16.500h.01',
  bridges: 'M4 17V9M20 17V9M4 12c4-5 12-5 16 0M4 17h16M9 17v-6.500M15 17v-6.500',
  config: 'M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4',
  log: 'M6 4h12v16H6zM9 8h6M9 12h6M9 16h3',
  more: 'M5 7h14M5 12h14M5 17h14',
  search: 'M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15.500 15.500L20 20',
  close: 'M6 6l12 12M18 6L6 18',
  chevron: 'M9 6l6 6-6 6',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  warning: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  system: 'M4 5h16v11H4zM9 20h6',
  light:
    'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600L7 7M17 17l1.400 1.400M5.600 18.400L7 17M17 7l1.400-1.400',
  dark: 'M19 14.500A8 8 0 0 1 9.500 5a7.500 7.500 0 1 0 9.500 9.500z',
  out: 'M10 5H5v14h5M14 8l4 4-4 4M18 12H9',
  play: 'M8 5l11 7-11 7z',
  stop: 'M7 7h10v10H7z',
  again: 'M19 12a7 7 0 1 1-2.200-5.100M19 4v4h-4',
} as const

export type IconName = keyof typeof strokes

/** A small picture beside a word. */
export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={strokes[name]} />
    </svg>
  )
}
