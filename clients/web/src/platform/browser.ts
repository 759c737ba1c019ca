/**
 * Which browser this is, and whether a lesson can run in it. Only codes come from here; what to
 * tell people is the pages' business.
 *
 * Floor: Chromium 94, Safari 15.4, Firefox 96 (see `FLOOR`): the first with what the core uses,
 * replaceTrack on transceivers that never had a track and CSRC of video among it.
 */

export type Engine = 'chromium' | 'safari' | 'firefox' | 'other'

/** Browsers inside other apps, which often may not use the camera. */
export type InApp = 'wechat' | 'wecom' | 'qq' | 'dingtalk' | 'feishu' | 'webview'

export interface Browser {
  engine: Engine
  /** Major and minor, e.g. 15.4; 0 when unknown. */
  version: number
  inApp: InApp | null
  ios: boolean
  android: boolean
  phone: boolean
}

export const FLOOR: Readonly<Record<Exclude<Engine, 'other'>, number>> = { chromium: 94, safari: 15.4, firefox: 96 }

/**
 * - `ok`
 * - `open_in_browser`: inside an app whose browser cannot do it: open the page in a real browser.
 * - `too_old`: below the floor: update or use another browser.
 * - `insecure`: not https nor localhost: the camera is not given (watching works).
 * - `no_webrtc`: no WebRTC at all, or switched off.
 */
export type BrowserVerdict = 'ok' | 'open_in_browser' | 'too_old' | 'insecure' | 'no_webrtc'

export interface Surroundings {
  userAgent: string
  /** Separates an iPad that calls itself a Mac from a Mac. */
  maxTouchPoints: number
  secure: boolean
  hasWebRtc: boolean
  hasCamera: boolean
}

export function surroundings(): Surroundings {
  return {
    userAgent: navigator.userAgent,
    maxTouchPoints: navigator.maxTouchPoints,
    secure: window.isSecureContext,
    hasWebRtc: typeof RTCPeerConnection === 'function' && 'replaceTrack' in RTCRtpSender.prototype,
    hasCamera: 'mediaDevices' in navigator,
  }
}

export function detect({ userAgent: ua, maxTouchPoints }: Surroundings): Browser {
  const ios = /iPhone|iPad|iPod/.test(ua) || (/Macintosh/.test(ua) && maxTouchPoints > 1)
  const android = /Android/.test(ua)
  const { engine, version } = engineOf(ua, ios)
  const phone = /iPhone|iPod/.test(ua) || (android && /Mobile/.test(ua))
  return { engine, version, inApp: inAppOf(ua, ios, android), ios, android, phone }
}

/** What stands in the way, worst first. `needsCamera`: the role sends pictures or sound. */
export function judge(around: Surroundings, needsCamera: boolean): BrowserVerdict {
  const browser = detect(around)
  if (!around.hasWebRtc) return browser.inApp === null ? tooOldOr('no_webrtc', browser) : 'open_in_browser'
  if (browser.engine !== 'other' && browser.version > 0 && browser.version < FLOOR[browser.engine]) {
    return browser.inApp === null ? 'too_old' : 'open_in_browser'
  }
  if (!needsCamera) return 'ok'
  if (!around.secure) return 'insecure'
  if (!around.hasCamera) return browser.inApp === null ? 'no_webrtc' : 'open_in_browser'
  // QQ and plain web views ask for no permission, and the camera fails without a word.
  if (browser.inApp === 'qq' || browser.inApp === 'webview') return 'open_in_browser'
  return 'ok'
}

function tooOldOr(verdict: BrowserVerdict, browser: Browser): BrowserVerdict {
  if (browser.engine === 'other' || browser.version === 0) return verdict
  return browser.version < FLOOR[browser.engine] ? 'too_old' : verdict
}

function engineOf(ua: string, ios: boolean): { engine: Engine; version: number } {
  // On iOS every browser is WebKit of the system, whatever it calls itself.
  if (ios) return { engine: 'safari', version: number(/ OS (\d+)[_.](\d+)/.exec(ua)) || number(/Version\/(\d+)\.(\d+)/.exec(ua)) }
  const firefox = /Firefox\/(\d+)\.(\d+)/.exec(ua)
  if (firefox) return { engine: 'firefox', version: number(firefox) }
  const chromium = /(?:Chrome|Chromium)\/(\d+)/.exec(ua)
  if (chromium) return { engine: 'chromium', version: Number(chromium[1]) }
  const safari = /Version\/(\d+)\.(\d+).*Safari/.exec(ua)
  return safari ? { engine: 'safari', version: number(safari) } : { engine: 'other', version: 0 }
}

function number(match: RegExpExecArray | null): number {
  return match === null ? 0 : Number(`${match[1] ?? 0}.${match[2] ?? 0}`)
}

function inAppOf(ua: string, ios: boolean, android: boolean): InApp | null {
  if (/wxwork/i.test(ua)) return 'wecom'
  if (/MicroMessenger/i.test(ua)) return 'wechat'
  if (/DingTalk/i.test(ua)) return 'dingtalk'
  if (/Lark|Feishu/i.test(ua)) return 'feishu'
  if (/\bQQ\//i.test(ua)) return 'qq'
  if (android && /; wv\)/.test(ua)) return 'webview'
  // A page in an iOS web view has WebKit but not Safari's own mark, nor another browser's.
  if (ios && !/Safari\/|CriOS|FxiOS|EdgiOS/.test(ua)) return 'webview'
  return null
}
