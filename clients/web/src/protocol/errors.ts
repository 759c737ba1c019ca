/** A refusal or failure: a stable code and a sentence for people in both languages. */

export class KelianError extends Error {
  override readonly name = 'KelianError'

  constructor(
    readonly code: string,
    readonly zh: string,
    readonly en: string,
    readonly retryAfterMs: number | null = null,
  ) {
    super(`${code}: ${en}`)
  }

  static from(message: { code: string; zh: string; en: string; retry_after_ms?: number | null }): KelianError {
    return new KelianError(message.code, message.zh, message.en, message.retry_after_ms ?? null)
  }
}

/** What the page itself finds wrong; the server's own errors bring their sentences along. */
const OWN = {
  connection_lost: [
    '与服务器的连接中断了，正在自动重连。',
    'The connection to the server was lost; it comes back by itself.',
  ],
  request_timeout: [
    '服务器没有及时答复，请稍后再试。',
    'The server did not answer in time; please try again.',
  ],
  closed: [
    '您已离开课堂。',
    'You have left the lesson.',
  ],
  bad_reply: [
    '服务器发来了无法识别的消息。',
    'The server sent a message that this page does not understand.',
  ],
  media_unsupported: [
    '此浏览器不支持本课堂的视频编码。',
    'This browser does not support the video codec of this lesson.',
  ],
  media_failed: [
    '音视频连接失败，正在重试。',
    'The media connection failed; trying again.',
  ],
  journal_slow: [
    '录制磁盘跟不上，请联系技术员。',
    'The disk of the recording does not keep up; please tell the technician.',
  ],
  journal_full: [
    '录制磁盘已满，暂时无法保存；腾出空间后会自动继续。',
    'The disk of the recording is full; it goes on by itself when there is room.',
  ],
  journal_failed: [
    '暂时无法保存录制，正在自动重试。',
    'The recording cannot be saved for now; trying again.',
  ],
  journal_gap: [
    '磁盘来不及保存，录制里有一小段缺口。',
    'The disk was too slow: a short piece of the recording is missing.',
  ],
  token_missing: [
    '链接里没有入场凭证，请向老师索取完整链接。',
    'The link holds no token; ask your teacher for the whole link.',
  ],
} as const

export type OwnCode = keyof typeof OWN

export function ownError(code: OwnCode): KelianError {
  const [zh, en] = OWN[code]
  return new KelianError(code, zh, en)
}

/** Any thrown thing as a KelianError. */
export function asKelianError(thrown: unknown): KelianError {
  if (thrown instanceof KelianError) return thrown
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)
  return new KelianError('page_error', `页面出错了：${text}`, `The page failed: ${text}`)
}
