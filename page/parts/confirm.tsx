import { useEffect, useRef, useState } from 'preact/hooks'
import type { ApiError } from '../api.ts'
import { asApiError } from '../live.ts'
import { Fault } from './text.tsx'

/** A button that asks before it does something. */
export function Confirmed({
  text,
  title,
  about,
  done,
  act,
}: {
  /** On the button, and on the one that does it. */
  readonly text: string
  readonly title: string
  readonly about: string
  done(): void
  act(): Promise<unknown>
}) {
  const [isOpen, open] = useState(false)
  const [error, fail] = useState<ApiError | null>(null)
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (isOpen) dialog.current?.showModal()
  }, [isOpen])
  const go = async (): Promise<void> => {
    try {
      await act()
      open(false)
      done()
    } catch (thrown) {
      fail(asApiError(thrown))
    }
  }
  return (
    <>
      <button type="button" class="button danger" onClick={() => open(true)}>
        {text}
      </button>
      {isOpen && (
        <dialog ref={dialog} aria-labelledby="dialog-title" onClose={() => open(false)}>
          <h2 id="dialog-title">{title}</h2>
          <p>{about}</p>
          <Fault error={error} />
          <div class="dialog-tools">
            <button type="button" class="button" onClick={() => dialog.current?.close()}>
              Leave it
            </button>
            <button type="button" class="button danger solid" onClick={() => void go()}>
              {text}
            </button>
          </div>
        </dialog>
      )}
    </>
  )
}
