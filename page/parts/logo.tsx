/** The broker's mark and name. */
export function Logo() {
  return (
    <span class="logo">
      <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
        <rect width="32" height="32" rx="8" />
        <path d="M8.500 9.500a14 14 0 0 1 14 14M8.500 15.500a8 8 0 0 1 8 8" />
        <circle cx="10" cy="22" r="2.300" />
      </svg>
      mqttx-broker
    </span>
  )
}
