/** What pages tell their user: the last refusals and troubles, until they are dismissed. */

import { ref } from 'vue'

import type { KelianError } from '@/protocol/errors'

import type { Notice, Sentence } from './types'

/** So many are kept; older ones nobody reads any more. */
const KEPT = 5

export class Notices {
  readonly list = ref<Notice[]>([])
  private next = 1

  add(error: KelianError, at_ms: number): void {
    const notice = { ...sentence(error), id: this.next++, at_ms, retry_after_ms: error.retryAfterMs }
    // The same said twice helps nobody.
    const others = this.list.value.filter((one) => one.code !== notice.code)
    this.list.value = [...others, notice].slice(-KEPT)
  }

  dismiss(notice: number): void {
    this.list.value = this.list.value.filter((one) => one.id !== notice)
  }
}

export function sentence({ code, zh, en }: KelianError): Sentence {
  return { code, zh, en }
}
