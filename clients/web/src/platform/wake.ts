/** The moments at which a page should look at its connections at once instead of waiting. */

export interface WakeHandlers {
  /** The network came back, or the page is looked at again. */
  wake(): void
  /** The browser says that there is no network. */
  offline(): void
}

/** Calls the handlers until the returned function is called. Does nothing outside a browser. */
export function watchWake(handlers: WakeHandlers): () => void {
  if (typeof window === 'undefined') return () => undefined
  const shown = () => {
    if (document.visibilityState === 'visible') handlers.wake()
  }
  const wake = () => { handlers.wake() }
  const offline = () => { handlers.offline() }
  window.addEventListener('online', wake)
  window.addEventListener('offline', offline)
  window.addEventListener('pageshow', wake)
  document.addEventListener('visibilitychange', shown)
  return () => {
    window.removeEventListener('online', wake)
    window.removeEventListener('offline', offline)
    window.removeEventListener('pageshow', wake)
    document.removeEventListener('visibilitychange', shown)
  }
}

export function isOffline(): boolean {
  return typeof navigator !== 'undefined' && navigator.onLine === false
}

/** Calls back when the page goes away (closed, reloaded, left), until the returned function is called. */
export function watchGone(gone: () => void): () => void {
  const handler = () => { gone() }
  window.addEventListener('pagehide', handler)
  return () => { window.removeEventListener('pagehide', handler) }
}
