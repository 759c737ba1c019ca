/** What pages and tiles show, rendered to text with an imagined lesson. */

import { createSSRApp, type Component, defineComponent, h } from 'vue'
import { renderToString } from 'vue/server-renderer'
import { createMemoryHistory, createRouter } from 'vue-router'
import { describe, expect, it } from 'vitest'
import type { Lesson, SlotStatus, Tile } from '@/lesson/types'
import { fakeLesson, type Scene } from '@/pages/gallery/fakeLesson'
import { provideLesson } from '@/pages/lesson'
import LessonPage from '@/pages/LessonPage.vue'
import HandsQueue from '@/components/HandsQueue.vue'
import LessonTile from '@/components/LessonTile.vue'
import QuizCard from '@/components/QuizCard.vue'

function render(component: Component, lesson: Lesson, props: Record<string, unknown> = {}): Promise<string> {
  const Root = defineComponent({
    setup: () => {
      provideLesson(lesson)
      return () => h(component, props)
    },
  })
  const app = createSSRApp(Root)
  app.use(createRouter({ history: createMemoryHistory(), routes: [{ path: '/', name: 'start', component: LessonPage }] }))
  return renderToString(app)
}

const page = (scene: Scene): Promise<string> => {
  const lesson = fakeLesson(scene)
  return render(LessonPage, lesson, { lesson })
}

describe('a tile', () => {
  const lesson = fakeLesson({ role: 'student', stage: ['li'] })
  const withStatus = (status: SlotStatus): Tile => ({
    ...lesson.lecturer,
    status,
    stream: status === 'empty' ? null : ({} as MediaStream),
  })

  it('shows the picture and names slot and source', async () => {
    const html = await render(LessonTile, lesson, { tile: withStatus('playing') })
    expect(html).toContain('data-slot="lecturer.video"')
    expect(html).toContain('data-source="7"')
    expect(html).toContain('林若水')
    expect(html).not.toContain('role="status"')
  })

  it('shows no picture at all when nobody sends, and says why', async () => {
    const html = await render(LessonTile, lesson, { tile: withStatus('empty') })
    expect(html).not.toContain('<video')
    expect(html).toContain('主讲的摄像头没有打开')
  })

  it.each([
    ['interrupted', '主讲网络中断，正在恢复…'],
    ['stalled', '画面恢复中…'],
  ] as const)('that is %s says so over a veiled picture', async (status, text) => {
    const html = await render(LessonTile, lesson, { tile: withStatus(status) })
    expect(html).toContain('veiled')
    expect(html).toContain(text)
  })

  it('hides the picture of whoever was there before, until the first of the new one', async () => {
    const html = await render(LessonTile, lesson, { tile: withStatus('waiting') })
    expect(html).toContain('unseen')
    expect(html).toContain('class="placeholder"')
    expect(html).toContain('正在接通…')
  })

  it('never claims a picture that has a stream but is empty', async () => {
    const html = await render(LessonTile, lesson, { tile: { ...withStatus('playing'), status: 'empty' } })
    expect(html).not.toContain('<video')
  })
})

describe('the queue of hands', () => {
  it('keeps the order, and says how often each has been on stage', async () => {
    const html = await render(HandsQueue, fakeLesson({ role: 'lecturer', hands: ['sun', 'chen'] }))
    expect(html.indexOf('孙可欣')).toBeLessThan(html.indexOf('陈思远'))
    expect(html).toContain('没上过台')
    expect(html).toContain('上台 3 次')
    expect(html).toContain('data-testid="bring-up-sun"')
  })

  it('offers no place on a full stage', async () => {
    const stage = ['room1', 'room2', 'room3', 'li', 'wang', 'zhou']
    const html = await render(HandsQueue, fakeLesson({ role: 'lecturer', hands: ['sun'], stage }))
    expect(html).toContain('台上满了')
    expect(html).toMatch(/disabled[^>]*data-testid="bring-up-sun"/)
  })
})

describe('a quiz card', () => {
  it('offers the options while the question is open, and thanks afterwards', async () => {
    expect(await render(QuizCard, fakeLesson({ role: 'student', quiz: 'open' }))).toContain('quiz-option-3')
    const answered = await render(QuizCard, fakeLesson({ role: 'student', quiz: 'answered' }))
    expect(answered).not.toContain('quiz-option-0')
    expect(answered).toContain('你选了 B')
  })

  it('keeps away when the question was over before one came', async () => {
    expect(await render(QuizCard, fakeLesson({ role: 'student', quiz: 'closed' }))).not.toContain('quiz-card')
  })
})

describe('the page of the moment', () => {
  it.each([
    [{ role: 'student', phase: 'waiting' }, '老师还没到'],
    [{ role: 'student', phase: 'connecting' }, '正在进入课堂'],
    [{ role: 'student', phase: 'ended' }, '这节课结束了'],
    [{ role: 'student', phase: 'refused', refusal: 'token_expired' }, '入场链接过期了'],
    [{ role: 'student', phase: 'refused', refusal: 'lesson_full' }, '进不了课堂'],
    [{ role: 'lecturer' }, 'data-testid="end-lesson"'],
    [{ role: 'tutor' }, 'data-testid="own-stage"'],
    [{ role: 'student' }, 'data-testid="raise-hand"'],
    [{ role: 'inspector' }, 'data-testid="layout-grid"'],
  ] as const)('%j shows %s', async (scene, text) => {
    expect(await page(scene)).toContain(text)
  })

  it('gives watchers nothing to send', async () => {
    const html = await page({ role: 'observer', stage: ['li'] })
    for (const id of ['raise-hand', 'toggle-camera', 'toggle-microphone', 'share-board', 'end-lesson']) {
      expect(html).not.toContain(`data-testid="${id}"`)
    }
  })

  it('says who muted one, and how to ask', async () => {
    const html = await page({ role: 'student', onStage: true, silenced: true })
    expect(html).toContain('老师把你的麦克风关了')
    expect(html).toContain('请在镜头前举手')
    expect(html).toMatch(/aria-disabled="true"[^>]*aria-label="老师已将你静音"/)
    expect(await page({ role: 'student', onStage: true })).not.toContain('老师已将你静音')
  })

  it('names those on stage whom it cannot show', async () => {
    const html = await page({ role: 'student', stage: ['li', 'chen', 'zhou'], stageSize: 1, spotlight: 'zhou' })
    expect(html).toContain('还有 2 位在台上')
    expect(html).toContain('周亦辰')
    expect(html).not.toContain('data-slot="stage.2.video"')
  })

  it('tells the technician which port is blocked', async () => {
    const html = await page({ role: 'student', health: 'media_blocked' })
    expect(html).toContain('放行 UDP 端口 8082（服务器 192.0.2.7:8082）')
  })

  it('says nothing of a good line while the line is bad', async () => {
    const html = await page({ role: 'student', health: 'media_connecting' })
    expect(html).toContain('data-health="media_connecting"')
    expect(html).not.toContain('画面声音正常')
  })
})
