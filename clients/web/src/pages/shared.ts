/** What all lesson pages have: the help window, leaving, the common shortcuts, news of the stage. */

import { computed, type ComputedRef, ref, type Ref, watch } from 'vue'
import { useFullscreen } from '@/components/fullscreen'
import { type Shortcut, useShortcuts } from '@/components/shortcuts'
import { t } from '@/i18n'
import type { Lesson } from '@/lesson/types'

export interface PageTools {
  help: Ref<boolean>
  leaving: Ref<boolean>
  fullscreen: ReturnType<typeof useFullscreen>
  shortcuts: ComputedRef<Shortcut[]>
}

export function usePageTools(lesson: Lesson, own: () => Shortcut[]): PageTools {
  const help = ref(false)
  const leaving = ref(false)
  const fullscreen = useFullscreen()

  const all = (): Shortcut[] => [
    ...own(),
    { key: 'h', text: 'keys.hand', when: () => lesson.may('raise_hand') && lesson.role !== 'lecturer' && lesson.me?.stage == null, run: () => void lesson.raiseHand(lesson.me?.hand == null) },
    { key: 'a', text: 'keys.microphone', when: () => lesson.local.microphone.allowed, run: () => void flip(lesson, 'microphone') },
    { key: 'v', text: 'keys.camera', when: () => lesson.local.camera.allowed, run: () => void flip(lesson, 'camera') },
    { key: 'c', text: 'keys.chat', when: () => lesson.may('chat'), run: focusChat },
    { key: 'f', text: 'keys.fullscreen', when: () => fullscreen.possible, run: fullscreen.toggle },
    { key: '?', text: 'keys.help', run: () => (help.value = !help.value) },
  ]
  useShortcuts(all)
  const shortcuts = computed(() => all().filter((each) => each.when?.() ?? true))
  return { help, leaving, fullscreen, shortcuts }
}

function flip(lesson: Lesson, use: 'camera' | 'microphone'): Promise<boolean> {
  const { wanted, muted, silenced } = lesson.local[use]
  if (silenced) return Promise.resolve(false)
  return use === 'camera' ? lesson.setCamera(!wanted) : lesson.setMicrophone(!wanted || muted)
}

function focusChat(): void {
  document.querySelector<HTMLElement>('[data-testid="chat-input"]')?.focus()
}

/** For an aria-live region: who went on and off the stage. */
export function useStageNews(lesson: Lesson): Ref<string> {
  const news = ref('')
  const onStage = computed(() => lesson.participants.filter((each) => each.stage !== null).map((each) => each.id))
  watch(onStage, (now, before) => {
    const came = now.find((id) => !before.includes(id))
    const went = before.find((id) => !now.includes(id))
    if (came) news.value = sentence(lesson, came, 'entered')
    else if (went) news.value = sentence(lesson, went, 'left')
  })
  return news
}

function sentence(lesson: Lesson, id: string, what: 'entered' | 'left'): string {
  const person = lesson.participant(id)
  if (person?.self) return t(`stage.self.${what}`)
  return person ? t(`stage.${what}`, { name: person.name || t(`role.${person.role}`) }) : ''
}
