import { describe, expect, it } from 'vitest'

import { detect, judge, type Surroundings } from './browser'

const around = (userAgent: string, more: Partial<Surroundings> = {}): Surroundings => ({
  userAgent, maxTouchPoints: 0, secure: true, hasWebRtc: true, hasCamera: true, ...more,
})

const MAC = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)'
const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 15_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)'
const ANDROID = 'Mozilla/5.0 (Linux; Android 12; M2012K11AC Build/SKQ1; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0'

const CHROME = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36'
const OLD_CHROME = CHROME.replace('126', '86')
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0'
const SAFARI = `${MAC} Version/17.4 Safari/605.1.15`
const WECHAT_IOS = `${IPHONE.replace('15_3', '16_6')} Mobile/15E148 MicroMessenger/8.0.47(0x1800) NetType/WIFI Language/zh_CN`
const WECHAT_ANDROID = `${ANDROID} Chrome/116.0.0.0 Mobile Safari/537.36 XWEB/1160083 MicroMessenger/8.0.47 NetType/WIFI`
const QQ = `${ANDROID} Chrome/98.0.4758.102 MQQBrowser/6.2 TBS/046403 Mobile Safari/537.36 V1_AND_SQ_8.9.58 QQ/8.9.58.11170`
const DINGTALK = `${ANDROID} Chrome/100.0.4896.127 Mobile Safari/537.36 AliApp(DingTalk/7.1.0) com.alibaba.android.rimet`
const WEBVIEW = `${ANDROID} Chrome/100.0.4896.127 Mobile Safari/537.36`

describe('detect', () => {
  it.each([
    ['Chrome', CHROME, { engine: 'chromium', version: 126, inApp: null, phone: false }],
    ['Firefox', FIREFOX, { engine: 'firefox', version: 115, inApp: null }],
    ['Safari', SAFARI, { engine: 'safari', version: 17.4, inApp: null, ios: false }],
    ['iPhone', `${IPHONE} Version/15.3 Mobile/15E148 Safari/604.1`, { engine: 'safari', version: 15.3, ios: true, phone: true }],
    ['Chrome on iOS', `${IPHONE} CriOS/120.0 Mobile/15E148 Safari/604.1`, { engine: 'safari', version: 15.3, inApp: null }],
    ['WeChat on iOS', WECHAT_IOS, { engine: 'safari', version: 16.6, inApp: 'wechat' }],
    ['WeChat on Android', WECHAT_ANDROID, { engine: 'chromium', version: 116, inApp: 'wechat', phone: true }],
    ['QQ', QQ, { inApp: 'qq', android: true }],
    ['DingTalk', DINGTALK, { inApp: 'dingtalk' }],
    ['a web view', WEBVIEW, { inApp: 'webview' }],
  ])('knows %s', (_, userAgent, expected) => {
    expect(detect(around(userAgent))).toMatchObject(expected)
  })

  it('knows an iPad that calls itself a Mac by its touch screen', () => {
    expect(detect(around(SAFARI, { maxTouchPoints: 5 }))).toMatchObject({ ios: true, version: 17.4, phone: false })
  })
})

describe('judge', () => {
  it.each([
    ['a current browser', around(CHROME), true, 'ok'],
    ['one below the floor', around(OLD_CHROME), true, 'too_old'],
    ['an iPhone below the floor', around(`${IPHONE} Version/15.3 Safari/604.1`), false, 'too_old'],
    ['an insecure page that needs a camera', around(CHROME, { secure: false, hasCamera: false }), true, 'insecure'],
    ['an insecure page that only watches', around(CHROME, { secure: false, hasCamera: false }), false, 'ok'],
    ['WebRTC switched off', around(CHROME, { hasWebRtc: false }), false, 'no_webrtc'],
    ['no WebRTC inside WeChat', around(WECHAT_IOS, { hasWebRtc: false }), false, 'open_in_browser'],
    ['no camera inside WeChat', around(WECHAT_IOS, { hasCamera: false }), true, 'open_in_browser'],
    ['watching inside WeChat', around(WECHAT_ANDROID), false, 'ok'],
    ['QQ, whose camera fails without a word', around(QQ), true, 'open_in_browser'],
  ] as const)('says of %s: %4$s', (_, surroundings, needsCamera, verdict) => {
    expect(judge(surroundings, needsCamera)).toBe(verdict)
  })
})
