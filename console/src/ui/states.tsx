// What a view shows while it has no data: loading, nothing there, failed, and "who are you?".
import { type FormEvent, type ReactNode, useState } from 'react'
import { type ApiError, storedKey, storeKey } from '../api/client.js'
import type { Polled } from '../api/use-poll.js'

interface LoadedProps<T> {
  readonly of: Polled<T>
  /** What is awaited: "endpoints". */
  readonly what: string
  readonly children: (data: T) => ReactNode
}

/** The data when there is some; with a note above it when the last answer failed. */
export function Loaded<T>({ of, what, children }: LoadedProps<T>) {
  if (of.data === undefined) return of.error ? <Failed error={of.error} retry={of.retry} /> : <Loading what={what} />
  return (
    <>
      {of.error && <Stale error={of.error} retry={of.retry} />}
      {children(of.data)}
    </>
  )
}

export function Loading({ what }: { readonly what: string }) {
  return (
    <div className="state" role="status" data-state="loading">
      <div className="skeleton" aria-hidden="true">
        <i />
        <i />
        <i />
        <i />
      </div>
      <p className="muted">Loading {what}…</p>
    </div>
  )
}

export function Empty({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className="state" data-state="empty">
      <p className="state-title">{title}</p>
      {children && <div className="muted">{children}</div>}
    </div>
  )
}

interface FailureProps {
  readonly error: ApiError
  retry(): void
}

export function Failed({ error, retry }: FailureProps) {
  if (error.status === 401) return <KeyForm error={error} />
  if (error.status === 403) return <NotShown error={error} />
  return (
    <div className="state" role="alert" data-state="failed">
      <p className="state-title">
        <code className="code bad">{error.code}</code>
      </p>
      <p>{error.message}</p>
      <button type="button" className="button" onClick={retry}>
        Try again
      </button>
    </div>
  )
}

/** It is as it should be: somebody else may see it. */
function NotShown({ error }: { readonly error: ApiError }) {
  return (
    <div className="state" role="status" data-state="not-shown">
      <p className="state-title">Not shown to this key</p>
      <p className="muted">{error.message}</p>
      <p className="muted">
        <code className="code">{error.code}</code>
      </p>
      {storedKey() !== null && (
        <button type="button" className="button" onClick={() => storeKey(null)}>
          Use another key
        </button>
      )}
    </div>
  )
}

/** Above data that is older than it should be. */
export function Stale({ error, retry }: FailureProps) {
  if (error.status === 401) return <KeyForm error={error} />
  if (error.status === 403) return <NotShown error={error} />
  return (
    <div className="notice" role="alert" data-state="stale">
      <span>
        <code className="code bad">{error.code}</code> {error.message} What is below is what was known last.
      </span>
      <button type="button" className="button" onClick={retry}>
        Try again
      </button>
    </div>
  )
}

function KeyForm({ error }: { readonly error: ApiError }) {
  const [key, setKey] = useState('')
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (key.trim() !== '') storeKey(key.trim())
  }
  return (
    <form className="state key-form" onSubmit={submit} data-state="key">
      <p className="state-title">This server asks for a key</p>
      <p role="alert">
        {storedKey() === null ? 'Enter a key with the role viewer or above.' : error.message}{' '}
        <code className="code">{error.code}</code>
      </p>
      <label htmlFor="key">Key</label>
      <input
        id="key"
        type="password"
        autoComplete="off"
        spellCheck={false}
        value={key}
        onChange={(event) => setKey(event.target.value)}
      />
      <button type="submit" className="button primary">
        Use this key
      </button>
      <p className="muted">It is kept in this tab only, and sent to this server only.</p>
    </form>
  )
}
