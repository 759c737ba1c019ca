/** An imagined lesson for the gallery: the whole interface, with drawn pictures and no server. */

import { markRaw, reactive } from 'vue'
import type {
  ChatLine, Lesson, LocalMedia, Participant, QuizView, SlotStatus, SlotView, Tile,
} from '@/lesson/types'
import type { Role, Use } from '@/protocol/events'
import type { RequestTag } from '@/protocol/requests'
import { boardPicture, facePicture } from './pictures'

export interface Scene {
  role: Role
  /** The participant that looks. */
  self?: string
  board?: SlotStatus
  lecturer?: SlotStatus
  stage?: readonly string[]
  onStage?: boolean
  hands?: readonly string[]
  quiz?: 'none' | 'open' | 'answered' | 'closed'
  spotlight?: string | null
  phase?: Lesson['phase']
  health?: Lesson['health']['word']
  refusal?: string
  /** A teacher has muted one's microphone. */
  silenced?: boolean
  /** So many stage pairs the page has. */
  stageSize?: number
}

const may: Partial<Record<Role, readonly RequestTag[]>> = {
  lecturer: ['bring_up', 'chat', 'end_lesson', 'mark', 'mute', 'publish', 'quiz_ask', 'quiz_close', 'raise_hand', 'record', 'set_floor', 'spotlight', 'take_down'],
  tutor: ['bring_up', 'chat', 'mark', 'mute', 'publish', 'raise_hand', 'take_down'],
  classroom: ['chat', 'mute', 'publish', 'quiz_answer', 'raise_hand', 'take_down'],
  student: ['chat', 'mute', 'publish', 'quiz_answer', 'raise_hand', 'take_down'],
}

const cast: readonly [id: string, name: string, role: Role, stageCount: number][] = [
  ['lin', '林若水', 'lecturer', 0],
  ['zhao', '赵敏', 'tutor', 1],
  ['room1', '中关村三小 四（2）班', 'classroom', 2],
  ['room2', '延庆一小 四（1）班', 'classroom', 1],
  ['room3', '房山良乡小学 四（3）班', 'classroom', 0],
  ['wang', '王子轩', 'student', 0],
  ['li', '李雨桐', 'student', 1],
  ['chen', '陈思远', 'student', 3],
  ['sun', '孙可欣', 'student', 0],
  ['zhou', '周亦辰', 'student', 0],
  ['wu', '吴梓涵', 'student', 0],
  ['observer', '教研室 高老师', 'observer', 0],
]

const said: readonly [from: string, text: string, to?: string][] = [
  ['zhao', '同学们，请把练习本翻到第 36 页。'],
  ['li', '老师，三角形的高一定在里面吗？'],
  ['lin', '好问题！我们马上画一个钝角三角形看看。'],
  ['wang', '我画出来了，高在外面！'],
  ['zhao', '后排看不清的话，可以把板书换成大画面。', 'wang'],
]

const nothing = (): Promise<boolean> => Promise.resolve(true)

export function fakeLesson(scene: Scene): Lesson {
  const selfId = scene.self ?? cast.find(([, , role]) => role === scene.role)?.[0] ?? 'wang'
  const onStage = [...(scene.stage ?? []), ...(scene.onStage ? [selfId] : [])]
  const hands = scene.hands ?? []
  const people = cast.map(([id, name, role, stageCount]): Participant => ({
    id,
    name,
    role,
    stageCount,
    self: id === selfId,
    present: id !== 'wu',
    hand: hands.includes(id) ? hands.indexOf(id) + 1 : null,
    stage: onStage.includes(id) ? onStage.indexOf(id) : null,
    muted: { camera: false, microphone: id === 'room1', board: false },
    silenced: { camera: false, microphone: id === 'room1', board: false },
    publishing: { camera: true, microphone: true, board: role === 'lecturer' },
    level: id === 'li' ? 0.6 : 0,
    speaking: id === 'li',
    interrupted: id === 'room2',
  }))
  const person = (id: string): Participant | null => people.find((each) => each.id === id) ?? null

  const slot = (name: string, status: SlotStatus, who: Participant | null, stream: MediaStream | null): SlotView => ({
    name, status, participant: who, stream, kind: 'video', source: status === 'empty' ? null : 7, track: null, stalledSince: null, width: 1280, height: 720,
  })
  const tile = (kind: Tile['kind'], index: number, who: Participant | null, status: SlotStatus, stream: MediaStream | null): Tile => {
    const shown = status === 'empty' || status === 'waiting' ? null : stream
    const own = who?.self === true
    const name = kind === 'lecturer' ? 'lecturer.video' : kind === 'board' ? 'board' : `${kind}.${index}.video`
    return {
      key: index < 0 ? kind : `${kind}.${index}`, kind, index, participant: who, self: own, stream: shown, status, audio: null,
      video: own ? null : slot(name, status, who, shown),
    }
  }
  const face = (who: Participant | null): MediaStream | null => (who ? facePicture(who.name, cast.findIndex(([id]) => id === who.id)) : null)

  const lecturer = person('lin')
  const stageSize = scene.stageSize ?? 6
  const stage = onStage.map((id, index) => index >= stageSize ? { ...tile('stage', index, person(id), 'empty', null), video: null } :
    tile('stage', index, person(id), id === 'chen' ? 'empty' : id === 'room2' ? 'interrupted' : 'playing', face(person(id))),
  )
  const quiz: QuizView | null =
    scene.quiz === undefined || scene.quiz === 'none'
      ? null
      : {
          id: 3, question: '一个三角形最多有几个直角？', options: ['没有', '1 个', '2 个', '3 个'], multiple: false,
          open: scene.quiz !== 'closed', asked_ms: 0, counts: [3, 27, 6, 1], answered: 37, mine: scene.quiz === 'open' ? null : [1],
        }
  const local = (use: Use): LocalMedia => ({
    use,
    allowed: use === 'board' ? scene.role === 'lecturer' : may[scene.role] !== undefined,
    wanted: true, publishing: scene.role === 'lecturer', muted: use === 'microphone' && scene.silenced === true,
    silenced: use === 'microphone' && scene.silenced === true, stream: null, error: null,
  })
  const started = Date.now() - 1_523_000

  const lesson: Lesson = {
    phase: scene.phase ?? 'live',
    refusal: scene.refusal ? { code: scene.refusal, zh: '链接无效。', en: 'The link is not valid.' } : null,
    left: false,
    id: 'demo', title: '四年级数学 · 三角形的高', codec: 'h264', started: true, startedAt_ms: started,
    waiting: { present: people.slice(1, 8).map(({ name, role }) => ({ name, role })) },
    me: person(selfId), role: scene.role,
    may: (tag) => may[scene.role]?.includes(tag) ?? false,
    participants: people,
    participant: person,
    hands: hands.map(person).filter((each) => each !== null),
    lecturerPresent: true,
    lecturer: tile('lecturer', -1, lecturer, scene.lecturer ?? 'playing', face(lecturer)),
    board: tile('board', -1, scene.role === 'lecturer' ? lecturer : null, scene.board ?? 'playing', boardPicture()),
    stage, stageSize,
    wall: ['room1', 'room2', 'room3'].map((id, i) => tile('wall', i, person(id), id === 'room2' ? 'interrupted' : 'playing', face(person(id)))),
    spotlight: scene.spotlight ? person(scene.spotlight) : null,
    floorOpen: false, recording: true, recordingTrouble: null, speakers: people.filter((each) => each.speaking), slots: {},
    chat: said.filter(([from, , to]) => to === undefined || from === selfId || to === selfId).map(([from, text, to], pos): ChatLine => {
      const speaker = person(from)
      if (!speaker) throw new Error(`nobody is called ${from}`)
      return { pos, at_ms: started + pos * 240_000, from: speaker, to: to ? person(to) : null, text, mine: speaker.self }
    }),
    quiz, quizzes: quiz ? [quiz] : [], marks: [],
    counts: { present: { student: 118, classroom: 3 }, total: 126, hands: hands.length },
    local: { camera: local('camera'), microphone: local('microphone'), board: local('board') },
    health: {
      word: scene.health ?? 'ok', signaling: 'connected', media: 'connected', retry_in_ms: scene.health === 'server_lost' ? 4000 : null,
      addresses: ['192.0.2.7:8082'], rtt_ms: 23, lossDown: 0, lossUp: 0.004, bps_down: 3_100_000, bps_up: 2_400_000, sendLimit: 'none',
    },
    soundBlocked: false, volume: 1, notices: [],
    raiseHand: nothing, lowerHand: nothing, bringUp: nothing, takeDown: nothing, mute: nothing, setSpotlight: nothing,
    setFloor: nothing, record: nothing, say: nothing, askQuiz: nothing, answerQuiz: nothing, closeQuiz: nothing, mark: nothing, endLesson: nothing,
    leave: () => Promise.resolve(), setCamera: nothing, setMicrophone: nothing, setBoard: nothing,
    provide: () => Promise.resolve(), devicesChanged: () => Promise.resolve(),
    shown: () => undefined, unblockSound: () => Promise.resolve(), setVolume: () => undefined, dismiss: () => undefined,
    now: () => Date.now(),
  }
  for (const each of [lesson.lecturer, lesson.board, ...lesson.stage, ...lesson.wall]) if (each.stream) markRaw(each.stream)
  return reactive(lesson) as Lesson
}
