/**
 * One lesson as one reactive object (types.ts): the connection, the log's fold, the media session
 * and the own devices, tied together. Pages read it and call its commands; nothing else.
 */

import { computed, reactive, ref, shallowRef, watch as watchValue } from 'vue'

import { SoundPlayer } from '@/media/autoplay'
import { choices } from '@/media/devices'
import { SessionKeeper, type Wanted } from '@/media/keeper'
import type { Sample } from '@/media/sampler'
import { detect, surroundings } from '@/platform/browser'
import { isOffline, watchGone } from '@/platform/wake'
import { asKelianError, ownError, type KelianError } from '@/protocol/errors'
import { USES, type Role, type Use } from '@/protocol/events'
import type { Ack, Answer, Counts, Events, Journal, Person, Presence, Slots, Tally, Waiting, Welcome } from '@/protocol/replies'
import type { Hello, RequestBody, RequestTag } from '@/protocol/requests'

import { Connection, type ConnectionState } from './connection'
import { freshHealth, healthWord, Rates, signalingWord } from './health'
import { Layers } from './layers'
import { Notices, sentence } from './notices'
import { OwnMedia } from './own'
import { People } from './people'
import { chatLines, markViews, quizViews } from './records'
import { SlotBoard } from './slotboard'
import { emptyState, fold, type LessonState } from './state'
import { exposeForTests } from './testhook'
import { boardTile, lecturerTile, stageTiles, wallTiles } from './tiles'
import type { Health, Lesson, LessonOptions, Participant, Phase, Sentence } from './types'
import { rememberVolume, volume } from './volume'

/** How long leaving waits for the server's word before it just closes. */
const LEAVE_MS = 1_500

const NOBODY_PRESENT: Counts = { t: 'counts', present: {}, hands: 0 }

export function createLesson(options: LessonOptions): Lesson {
  return new Store(options).lesson
}

class Store {
  readonly lesson: Lesson
  private readonly phase = ref<Phase>('connecting')
  private readonly refusal = ref<Sentence | null>(null)
  private readonly left = ref(false)
  private readonly state = shallowRef<LessonState>(emptyState())
  private readonly welcome = shallowRef<Welcome | null>(null)
  private readonly waiting = shallowRef<{ present: readonly Person[] }>({ present: [] })
  private readonly answers = ref<Record<number, number[]>>({})
  private readonly tallies = ref<Record<number, Tally>>({})
  private readonly recordingTrouble = ref<Lesson['recordingTrouble']>(null)
  private readonly counts = shallowRef<Counts>(NOBODY_PRESENT)
  private readonly health = reactive<Health>(freshHealth())
  private readonly soundBlocked = ref(false)
  private readonly notices = new Notices()
  private readonly people = new People()
  private readonly board = new SlotBoard(this.people)
  private readonly rates = new Rates()
  private readonly player: SoundPlayer
  private readonly own: OwnMedia
  private readonly layers: Layers
  private readonly connection: Connection
  private readonly keeper: SessionKeeper
  private position = 0
  private clockOffset_ms = 0
  private lastSample: Sample | null = null
  /** Uses of which packets left this page between the last two looks. */
  private leaving: readonly Use[] = []
  private readonly stopWatching: (() => void)[]

  constructor(options: LessonOptions) {
    const browser = detect(surroundings())
    this.player = new SoundPlayer((blocked) => { this.soundBlocked.value = blocked })
    this.own = new OwnMedia({
      place: () => this.place(),
      publish: async (session, use, on) => { await this.request({ t: 'publish', session, use, on }) },
      failed: (error) => { this.sendingFailed(error) },
      muteSelf: (participant, use, muted) => this.command({ t: 'mute', participant, use, muted }),
    })
    this.connection = new Connection({
      url: options.url ?? defaultUrl(),
      token: options.token,
      device: options.device ?? (browser.phone ? 'phone' : 'pc'),
      client: `web ${browser.engine} ${browser.version}`,
      session: () => this.keeper.id,
      handlers: {
        state: (state) => { this.connectionChanged(state) },
        welcome: (welcome) => { this.welcomed(welcome) },
        waiting: (waiting) => { this.waitingFor(waiting) },
        events: (events) => { this.happened(events) },
        presence: (presence) => { this.noticed(presence) },
        refused: (error) => { this.refusal.value = sentence(error) },
        error: (error) => { this.notify(error) },
        retrying: (in_ms) => { this.health.retry_in_ms = in_ms },
      },
    })
    this.keeper = this.makeKeeper()
    this.layers = new Layers((heights) => {
      const session = this.keeper.id
      if (session !== null) this.quietly({ t: 'layers', session, heights })
    })
    this.stopWatching = [
      watchValue(() => choices.speaker, (speaker) => { void this.player.setSpeaker(speaker) }, { immediate: true }),
      watchValue(volume, (now) => { this.player.setVolume(now) }, { immediate: true }),
      watchGone(() => { this.gone() }),
    ]
    this.lesson = this.present()
    exposeForTests(this.lesson, {
      session: () => this.keeper.session,
      sample: () => this.lastSample,
    })
    if (options.token === '') {
      this.refusal.value = sentence(ownError('token_missing'))
      this.phase.value = 'refused'
    } else {
      this.connection.start()
    }
  }

  private get role(): Role | null {
    return this.welcome.value?.role ?? null
  }

  private get me(): string | null {
    return this.welcome.value?.participant ?? null
  }

  // --- the connection -------------------------------------------------------------------------

  private connectionChanged(state: ConnectionState): void {
    if (this.phase.value !== 'ended' && this.phase.value !== 'refused') this.phase.value = state
    if (state === 'ended' || state === 'refused') this.stop()
    this.judge()
  }

  private waitingFor(waiting: Waiting): void {
    this.waiting.value = { present: waiting.present ?? [] }
  }

  private welcomed(welcome: Welcome): void {
    this.welcome.value = welcome
    this.clockOffset_ms = welcome.now_ms - Date.now()
    this.answers.value = { ...this.answers.value, ...welcome.answers }
    this.people.learn(welcome.people)
    this.own.sender.allow(welcome.sends)
    this.board.offer(welcome.pool)
    if (welcome.state !== undefined && welcome.state !== null) {
      this.position = welcome.position
      this.state.value = { ...emptyState(), ...(welcome.state as Partial<LessonState>) }
      this.own.follow(null)
    }
    this.follow()
    if (welcome.session_lost === true) this.keeper.renew()
    if (!this.ended && this.may('offer')) this.keeper.start(this.sessionPlan(welcome))
    // What was asked for while the line was away may have been lost on the way.
    this.own.sender.confirm(this.publishedNow())
  }

  private happened({ events = [], upto, people }: Events): void {
    this.people.learn(people)
    for (const entry of events) {
      if (entry.pos <= this.position) continue
      const before = this.state.value
      this.state.value = fold(before, entry)
      this.reactTo(entry.event.t, before)
    }
    this.position = Math.max(this.position, upto)
    this.follow()
  }

  private noticed(presence: Presence): void {
    switch (presence.t) {
      case 'slots': this.arranged(presence); break
      case 'live':
        this.board.setLive(presence.source, presence.live)
        break
      case 'levels': this.people.hear(this.byParticipant(presence.levels)); break
      case 'counts': this.counts.value = presence; break
      case 'tally': this.tallies.value = { ...this.tallies.value, [presence.quiz]: presence }; break
      case 'journal': this.journalled(presence); break
      case 'session_lost': this.keeper.lost(presence.session); break
    }
  }

  private journalled({ state }: Journal): void {
    if (state !== 'gap') this.recordingTrouble.value = state === 'ok' ? null : state
    if (state !== 'ok') this.notify(ownError(`journal_${state}`))
  }

  private arranged(slots: Slots): void {
    this.people.learn(slots.people)
    this.board.arrange(slots, this.me)
    this.playSounds()
    this.keeper.lookSoon()
  }

  // --- the log --------------------------------------------------------------------------------

  private get ended(): boolean {
    return this.state.value.ended_ms !== null
  }

  private reactTo(event: string, before: LessonState): void {
    this.own.follow(before)
    if (event === 'ended') this.finish(false)
    if (before.codec !== this.state.value.codec && this.welcome.value !== null) {
      this.keeper.start(this.sessionPlan(this.welcome.value))
    }
  }

  private follow(): void {
    this.people.follow(this.state.value, this.me)
    this.own.settle()
  }

  private place() {
    const { welcome } = this
    if (welcome.value === null) return null
    const { participant: me, role } = welcome.value
    return { me, role, state: this.state.value }
  }

  private publishedNow(): Set<Use> {
    const session = this.keeper.id
    const own = Object.values(this.state.value.sources).filter((source) => source.session === session)
    return new Set(own.map(({ use }) => use))
  }

  private byParticipant(levels: readonly [number, number][]): Map<string, number> {
    const heard = new Map<string, number>()
    for (const [source, level] of levels) {
      const who = this.board.sources[source]?.participant ?? this.state.value.sources[source]?.participant
      if (who !== undefined && !heard.has(who)) heard.set(who, level)
    }
    return heard
  }

  // --- media ----------------------------------------------------------------------------------

  private makeKeeper(): SessionKeeper {
    const signal = async (sdp: string, labels: Record<string, string>, session: string | null): Promise<Answer> => {
      const reply = await this.connection.request({ t: 'offer', sdp, labels, ...(session === null ? {} : { session }) })
      if (reply.t !== 'answer') throw ownError('bad_reply')
      return reply
    }
    return new SessionKeeper(signal, {
      state: (state) => {
        this.health.media = state
        if (state !== 'connected') this.rates.reset()
        this.judge()
      },
      opened: (session) => {
        this.lastSample = null
        this.health.addresses = session.addresses
        this.own.sender.opened(session)
        this.layers.forget()
      },
      track: (slot, _kind, receiver) => {
        this.board.connect(slot, receiver.track)
        this.playSounds()
      },
      wanted: () => this.wantedSlots(),
      uplinkDark: () => this.uplinkDark(),
      mend: (session, slot) => { this.quietly({ t: 'mend', session, slot }) },
      closed: (session) => {
        this.own.sender.disconnected()
        this.board.disconnect()
        if (!this.ended && this.connection.state === 'live') this.quietly({ t: 'close_session', session })
      },
      sampled: (sample, watch) => {
        this.leaving = USES.filter((use) => sample.sent[use] > (this.lastSample?.sent[use] ?? 0))
        this.lastSample = sample
        this.board.observe(sample, watch)
        Object.assign(this.health, this.rates.add(sample))
        this.own.sender.observe(sample)
        this.playSounds()
        this.judge()
      },
      refused: (error) => { this.notify(error) },
    })
  }

  private sessionPlan(welcome: Welcome) {
    const codec = this.state.value.title === '' ? welcome.lesson.codec : this.state.value.codec
    return { sends: welcome.sends, pool: welcome.pool, codec, role: welcome.role, quality: choices.quality }
  }

  private wantedSlots(): Record<string, Wanted> {
    const wanted: Record<string, Wanted> = {}
    for (const [slot, source] of Object.entries(this.board.wanted)) {
      const info = this.board.sources[source]
      const silent = info !== undefined && this.people.find(info.participant)?.muted[info.use] === true
      wanted[slot] = { source, live: info?.live ?? false, silent }
    }
    return wanted
  }

  /** Packets leave, and the server says that nothing of them arrives. */
  private uplinkDark(): boolean {
    const session = this.keeper.id
    return Object.entries(this.state.value.sources).some(([source, own]) => {
      const sending = own.session === session && this.leaving.includes(own.use)
      return sending && this.board.sources[Number(source)]?.live === false
    })
  }

  private playSounds(): void {
    for (const view of Object.values(this.board.views)) {
      if (view.kind === 'audio') this.player.play(view.name, this.board.soundOf(view))
    }
  }

  private sendingFailed(error: KelianError): void {
    if (error.code === 'no_such_session') this.keeper.renew()
    // What fails with the line is made good when it is back (welcomed).
    else if (error.code !== 'connection_lost' && error.code !== 'closed') this.notify(error)
  }

  private judge(): void {
    const connection = this.connection.state
    this.health.signaling = signalingWord(connection)
    const input = {
      offline: isOffline(),
      connection,
      media: this.keeper.state,
      failures: this.keeper.failures,
      slots: Object.values(this.board.views).map((view) => view.status),
    }
    this.health.word = healthWord(input, this.health)
  }

  // --- requests -------------------------------------------------------------------------------

  private async request(body: Exclude<RequestBody, Hello>): Promise<Ack | Answer> {
    return await this.connection.request(body)
  }

  /** What needs no answer: when it is lost, something else makes it good. */
  private quietly(body: Exclude<RequestBody, Hello>): void {
    this.request(body).catch(() => undefined)
  }

  private async command(body: Exclude<RequestBody, Hello>): Promise<boolean> {
    try {
      await this.request(body)
      return true
    } catch (thrown) {
      this.notify(asKelianError(thrown))
      return false
    }
  }

  private notify(error: KelianError): void {
    this.notices.add(error, this.now())
  }

  private now(): number {
    return Date.now() + this.clockOffset_ms
  }

  private may(tag: RequestTag): boolean {
    return this.welcome.value?.may.includes(tag) ?? false
  }

  // --- the end --------------------------------------------------------------------------------

  private finish(left: boolean): void {
    this.left.value = left
    this.phase.value = 'ended'
    this.stop()
  }

  private stop(): void {
    for (const stop of this.stopWatching) stop()
    this.layers.close()
    this.keeper.stop()
    this.own.sender.close()
    this.player.close()
  }

  /** A reloaded page makes a new session: the others need not wait until this one is missed. */
  private gone(): void {
    const session = this.keeper.id
    if (session !== null && this.connection.state === 'live') this.quietly({ t: 'close_session', session })
  }

  private async leave(): Promise<void> {
    const told = this.connection.state === 'live' || this.connection.state === 'waiting'
    this.finish(true)
    if (told) await this.connection.request({ t: 'leave' }, LEAVE_MS).catch(() => undefined)
    this.connection.close()
  }

  // --- the object that pages see --------------------------------------------------------------

  private present(): Lesson {
    const person = (id: string): Participant => this.people.get(id)
    const { views: slots } = this.board
    const { uses: local } = this.own.sender
    const tiles = computed(() => ({ state: this.state.value, slots, local, me: this.me, person }))
    const quizzes = computed(() => quizViews(this.state.value, this.tallies.value, this.answers.value))
    const shown = {
      phase: this.phase,
      refusal: this.refusal,
      left: this.left,
      id: computed(() => this.welcome.value?.lesson.id ?? ''),
      title: computed(() => this.state.value.title || (this.welcome.value?.lesson.title ?? '')),
      codec: computed(() => this.state.value.codec),
      started: computed(() => this.state.value.started_ms !== null),
      startedAt_ms: computed(() => this.state.value.started_ms),
      waiting: this.waiting,
      me: computed(() => this.participant(this.me)),
      role: computed(() => this.role),
      participants: this.people.present,
      hands: computed(() => this.state.value.hands.map((hand) => person(hand.participant))),
      lecturerPresent: computed(() => hasLecturer(this.state.value)),
      lecturer: computed(() => lecturerTile(tiles.value)),
      board: computed(() => boardTile(tiles.value)),
      stage: computed(() => stageTiles(tiles.value)),
      stageSize: computed(() => this.welcome.value?.pool.stage ?? 0),
      wall: computed(() => wallTiles(tiles.value)),
      spotlight: computed(() => this.participant(this.state.value.spotlight)),
      floorOpen: computed(() => this.state.value.floor_open),
      recording: computed(() => this.state.value.recording),
      recordingTrouble: this.recordingTrouble,
      speakers: this.people.speakers,
      slots,
      chat: computed(() => chatLines(this.state.value, person)),
      quiz: computed(() => quizzes.value.at(-1) ?? null),
      quizzes,
      marks: computed(() => markViews(this.state.value, person)),
      counts: computed(() => ({ ...this.counts.value, total: total(this.counts.value) })),
      local,
      health: this.health,
      soundBlocked: this.soundBlocked,
      volume,
      notices: this.notices.list,
    }
    return reactive({ ...shown, ...this.commands() }) as unknown as Lesson
  }

  private participant(id: string | null): Participant | null {
    return id === null ? null : this.people.get(id)
  }

  private commands(): Pick<Lesson, CommandName> {
    return {
      may: (tag) => this.may(tag),
      participant: (id) => this.people.find(id),
      raiseHand: (up = true) => this.command({ t: 'raise_hand', up }),
      lowerHand: (participant) => this.command({ t: 'raise_hand', up: false, participant }),
      bringUp: (participant) => this.command({ t: 'bring_up', participant }),
      takeDown: (participant) => this.command({ t: 'take_down', participant }),
      mute: (participant, use, muted) => this.command({ t: 'mute', participant, use, muted }),
      setSpotlight: (participant) => this.command({ t: 'spotlight', participant }),
      setFloor: (open) => this.command({ t: 'set_floor', open }),
      record: (on) => this.command({ t: 'record', on }),
      say: (text, to) => this.command({ t: 'chat', text, ...(to === undefined ? {} : { to }) }),
      askQuiz: (question, offered, multiple = false) => this.command({ t: 'quiz_ask', question, options: offered, multiple }),
      answerQuiz: (quiz, chosen) => this.answerQuiz(quiz, chosen),
      closeQuiz: (quiz) => this.command({ t: 'quiz_close', quiz }),
      mark: (label = '') => this.command({ t: 'mark', label }),
      endLesson: () => this.command({ t: 'end_lesson' }),
      leave: () => this.leave(),
      setCamera: (on) => this.own.setCamera(on),
      setMicrophone: (on) => this.own.setMicrophone(on),
      setBoard: (on) => this.own.setBoard(on),
      provide: (use, track) => Promise.resolve(this.own.provide(use, track)),
      devicesChanged: () => this.own.sender.reopen(),
      shown: (slot, height) => { this.layers.shown(slot, height) },
      unblockSound: () => this.player.unblock(),
      setVolume: rememberVolume,
      dismiss: (notice) => { this.notices.dismiss(notice) },
      now: () => this.now(),
    }
  }

  private async answerQuiz(quiz: number, chosen: number[]): Promise<boolean> {
    const before = this.answers.value
    this.answers.value = { ...before, [quiz]: chosen }
    const taken = await this.command({ t: 'quiz_answer', quiz, choices: chosen })
    if (!taken) this.answers.value = before
    return taken
  }
}

type CommandName =
  | 'may' | 'participant' | 'raiseHand' | 'lowerHand' | 'bringUp' | 'takeDown' | 'mute' | 'setSpotlight' | 'setFloor' | 'record' | 'say'
  | 'askQuiz' | 'answerQuiz' | 'closeQuiz' | 'mark' | 'endLesson' | 'leave' | 'setCamera' | 'setMicrophone' | 'setBoard'
  | 'provide' | 'devicesChanged' | 'shown' | 'unblockSound' | 'setVolume' | 'dismiss' | 'now'

function hasLecturer(state: LessonState): boolean {
  return Object.values(state.participants).some(({ role }) => role === 'lecturer')
}

function total({ present }: Counts): number {
  return Object.values(present).reduce((sum, count) => sum + count, 0)
}

function defaultUrl(): string {
  const url = new URL('/ws', location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return url.href
}
