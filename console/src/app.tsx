// The frame around every page: where you are, whether the server is well, light or dark, and the keys.
import { useEffect, useRef, useSyncExternalStore } from 'react'
import { CallerContext, seesAll, tenantOf, useCaller, viewedBy } from './api/caller.js'
import { storedKey, storeKey, watchKey } from './api/client.js'
import type { Caller, Status } from './api/types.js'
import { usePoll } from './api/use-poll.js'
import { DecisionPage } from './pages/decision.js'
import { DecisionsPage } from './pages/decisions.js'
import { EndpointPage } from './pages/endpoint.js'
import { EndpointsPage } from './pages/endpoints.js'
import { LogPage } from './pages/log.js'
import { PredictionPage } from './pages/prediction.js'
import { ReleasePage } from './pages/release.js'
import { ReleasesPage } from './pages/releases.js'
import { Link, navigate, partsOf, usePath } from './router.js'
import { switchTheme, useTheme } from './theme.js'
import { Empty } from './ui/states.js'

const SECTIONS = [
  { name: 'endpoints', title: 'Endpoints', key: 'e' },
  { name: 'releases', title: 'Releases', key: 'r' },
  { name: 'log', title: 'Log', key: 'l' },
  { name: 'decisions', title: 'Decisions', key: 'd' },
] as const

/** How long after `g` the second key counts. */
const CHORD_MS = 1200

export function App() {
  const path = usePath()
  const parts = partsOf(path)
  const section = parts[0] === undefined ? 'endpoints' : parts[0] === 'predictions' ? 'log' : parts[0]
  const help = useRef<HTMLDialogElement>(null)
  const main = useRef<HTMLElement>(null)
  const isFirst = useRef(true)
  const caller = usePoll<Caller>('/api/v1/whoami').data
  useShortcuts(() => help.current?.showModal())

  // biome-ignore lint/correctness/useExhaustiveDependencies: at each new page
  useEffect(() => {
    document.title = `${parts.slice(1).join(' ') || SECTIONS.find(({ name }) => name === section)?.title || 'Not found'} · Headrace`
    // Who follows a link with the keys goes on reading at the top of the new page.
    if (!isFirst.current) main.current?.focus({ preventScroll: true })
    isFirst.current = false
  }, [path])

  return (
    <CallerContext value={caller}>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="top">
        <Link to="/endpoints" className="brand">
          <img src="/console/icon.svg" alt="" width={22} height={22} />
          Headrace
        </Link>
        <nav aria-label="Pages">
          {SECTIONS.map(({ name, title }) => (
            <Link key={name} to={`/${name}`} aria-current={section === name ? 'page' : undefined}>
              {title}
            </Link>
          ))}
        </nav>
        <div className="top-end">
          <ServerState />
          <KeyState />
          <ThemeSwitch />
          <button
            type="button"
            className="icon-button"
            aria-label="Keyboard help"
            onClick={() => help.current?.showModal()}
          >
            ?
          </button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <CallerNote />
        <Page key={path} parts={parts} />
      </main>
      <dialog ref={help} aria-labelledby="help-title">
        <h2 id="help-title">Keys</h2>
        <dl className="keys">
          <dt>
            <kbd>/</kbd>
          </dt>
          <dd>search on this page</dd>
          {SECTIONS.map(({ key, title }) => (
            <div key={key} className="keys-row">
              <dt>
                <kbd>g</kbd> <kbd>{key}</kbd>
              </dt>
              <dd>go to {title.toLowerCase()}</dd>
            </div>
          ))}
          <dt>
            <kbd>↑</kbd> <kbd>↓</kbd> <kbd>Home</kbd> <kbd>End</kbd>
          </dt>
          <dd>move in a table; Enter opens the row</dd>
          <dt>
            <kbd>t</kbd>
          </dt>
          <dd>light or dark</dd>
          <dt>
            <kbd>?</kbd>
          </dt>
          <dd>this help; Escape closes it</dd>
        </dl>
        <form method="dialog">
          <button type="submit" className="button">
            Close
          </button>
        </form>
      </dialog>
    </CallerContext>
  )
}

/** To who does not see everything: what is seen, so that nothing is taken for all there is. */
function CallerNote() {
  const caller = useCaller()
  if (caller === undefined) return null
  const tenant = tenantOf(caller)
  const viewed = viewedBy(caller)
  const sentences = [
    ...(tenant === undefined
      ? []
      : [`You belong to tenant ${tenant}: figures, the log and predictions are of its traffic alone.`]),
    ...(seesAll(caller)
      ? []
      : viewed.length === 0
        ? [
            `You may predict with ${caller.predicts.join(', ')}, and see that these are there. How they do is for a key with a role, such as viewer.`,
          ]
        : [`You may view ${viewed.join(', ')}: lists show only what is about these.`]),
  ]
  if (sentences.length === 0) return null
  return (
    <p className="caller-note" data-note="caller">
      {sentences.join(' ')}
    </p>
  )
}

function Page({ parts: [section, id] }: { readonly parts: readonly string[] }) {
  switch (section) {
    case undefined:
      return <EndpointsPage />
    case 'endpoints':
      return id === undefined ? <EndpointsPage /> : <EndpointPage name={id} />
    case 'releases':
      return id === undefined ? <ReleasesPage /> : <ReleasePage id={id} />
    case 'log':
      return <LogPage />
    case 'predictions':
      return id === undefined ? <LogPage /> : <PredictionPage id={id} />
    case 'decisions':
      return id === undefined ? <DecisionsPage /> : <DecisionPage id={id} />
    default:
      return (
        <Empty title="There is no such page">
          <Link to="/endpoints">Go to the endpoints</Link>
        </Empty>
      )
  }
}

function ServerState() {
  const { data, error } = usePoll<Status>('/api/v1/status', 5000)
  const [tone, text] =
    error !== undefined
      ? ['bad', error.status === 0 ? 'not reached' : error.status === 401 ? 'key needed' : 'failing']
      : data === undefined
        ? ['muted', 'asking']
        : data.ready
          ? ['ok', 'ready']
          : ['warn', 'loading models']
  return (
    <span className="server" role="status" title={data && `Headrace ${data.version}, started ${data.startedAt}`}>
      <span className={`dot ${tone}`} aria-hidden="true" />
      <span className="server-name">{data?.name ?? location.host}</span> <span className="muted">{text}</span>
    </span>
  )
}

function KeyState() {
  const key = useSyncExternalStore(watchKey, storedKey)
  const caller = useCaller()
  if (key === null) return null
  return (
    <>
      {caller && caller.kind !== 'anonymous' && <span className="muted caller-name">{caller.name}</span>}
      <button type="button" className="button small" onClick={() => storeKey(null)}>
        Forget the key
      </button>
    </>
  )
}

function ThemeSwitch() {
  const theme = useTheme()
  return (
    <button
      type="button"
      className="icon-button"
      role="switch"
      aria-checked={theme === 'dark'}
      aria-label="Dark mode"
      onClick={switchTheme}
    >
      {theme === 'dark' ? '☾' : '☀'}
    </button>
  )
}

function useShortcuts(showHelp: () => void): void {
  const show = useRef(showHelp)
  show.current = showHelp
  useEffect(() => {
    let chordUntil = 0
    const press = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
      if (document.querySelector('dialog[open]')) return
      const target = event.target as HTMLElement
      if (target.matches('input, select, textarea')) {
        if (event.key === 'Escape') target.blur()
        return
      }
      const isChord = event.timeStamp < chordUntil
      chordUntil = 0
      const section = isChord ? SECTIONS.find(({ key }) => key === event.key) : undefined
      if (section) navigate(`/${section.name}`)
      else if (event.key === 'g') chordUntil = event.timeStamp + CHORD_MS
      else if (event.key === '?') show.current()
      else if (event.key === 't') switchTheme()
      else if (event.key === '/') {
        const search = document.querySelector<HTMLElement>('input[type="search"]')
        if (search === null) return
        event.preventDefault()
        search.focus()
      }
    }
    addEventListener('keydown', press)
    return () => removeEventListener('keydown', press)
  }, [])
}
