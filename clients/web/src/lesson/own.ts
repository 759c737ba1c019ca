/**
 * One's own camera, microphone and board in the lesson: the user's switches, and the rules by
 * which place (on stage, open floor) decides what is sent.
 */

import { LocalSender, type LocalHandlers } from '@/media/local'
import type { Role, Use } from '@/protocol/events'

import type { LessonState } from './state'

export interface Place {
  me: string
  role: Role
  state: LessonState
}

export interface OwnHandlers extends Pick<LocalHandlers, 'publish' | 'failed'> {
  /** Null before the first welcome. */
  place(): Place | null
  /** Ask the server for a mute of one's own; false when it was refused. */
  muteSelf(me: string, use: Use, muted: boolean): Promise<boolean>
}

export class OwnMedia {
  readonly sender: LocalSender
  /** Uses that the user has switched off by hand: going on stage does not switch them on. */
  private readonly declined = new Set<Use>()

  constructor(private readonly handlers: OwnHandlers) {
    this.sender = new LocalSender({
      role: () => handlers.place()?.role ?? 'student',
      mayNow: (use) => maySend(use, handlers.place()),
      publish: handlers.publish,
      failed: handlers.failed,
    })
  }

  // --- the user's switches --------------------------------------------------------------------

  async setCamera(on: boolean): Promise<boolean> {
    this.remember('camera', on)
    if (on) return (await this.sender.turnOn('camera')) && (await this.unmute('camera'))
    this.sender.turnOff('camera')
    return true
  }

  async setMicrophone(on: boolean): Promise<boolean> {
    this.remember('microphone', on)
    if (on) return (await this.sender.turnOn('microphone')) && (await this.unmute('microphone'))
    const place = this.handlers.place()
    if (place !== null && this.sender.uses.microphone.publishing && mutesItself(place)) {
      return await this.handlers.muteSelf(place.me, 'microphone', true)
    }
    this.sender.turnOff('microphone')
    return true
  }

  async setBoard(on: boolean): Promise<boolean> {
    if (on) return await this.sender.turnOn('board')
    this.sender.turnOff('board')
    return true
  }

  /** A track that the device check has opened: wanted from now on. */
  provide(use: Use, track: MediaStreamTrack): void {
    this.sender.uses[use].wanted = true
    if (use === 'microphone' && this.handlers.place()?.state.floor_open === true) this.floorOpened()
    this.sender.provide(use, track)
  }

  // --- what happens in the lesson -------------------------------------------------------------

  /** From one state of the lesson to the next; `before` is null when a whole state was told. */
  follow(before: LessonState | null): void {
    const place = this.handlers.place()
    if (place === null) return
    const { state, me } = place
    const wasOn = before !== null && onStage(before, me)
    if (onStage(state, me) && !wasOn) this.cameOnStage()
    else if (state.floor_open && before?.floor_open !== true) this.floorOpened()
  }

  settle(): void {
    const place = this.handlers.place()
    const mutes = place === null ? {} : (place.state.mutes[place.me] ?? {})
    this.sender.settleAll((use) => {
      const holders = mutes[use] ?? []
      return { muted: holders.length > 0, silenced: holders.includes('staff') }
    })
  }

  /** Who is called up is seen and heard, unless they switched that off themselves. */
  private cameOnStage(): void {
    for (const use of ['camera', 'microphone'] as const) {
      if (this.sender.uses[use].allowed && !this.declined.has(use)) void this.sender.turnOn(use)
    }
  }

  /** An open floor opens no child's microphone by itself: each presses the button. */
  private floorOpened(): void {
    const place = this.handlers.place()
    const waits = place !== null && place.role === 'student' && !onStage(place.state, place.me)
    if (waits) this.sender.uses.microphone.wanted = false
  }

  private async unmute(use: Use): Promise<boolean> {
    const place = this.handlers.place()
    if (place === null || !this.sender.uses[use].muted) return true
    return await this.handlers.muteSelf(place.me, use, false)
  }

  private remember(use: Use, on: boolean): void {
    if (on) this.declined.delete(use)
    else this.declined.add(use)
  }
}

export function onStage(state: LessonState, participant: string): boolean {
  return Object.values(state.stage).includes(participant)
}

/** Rooms and tutors show their camera to the lecturer always; children only on stage. */
export function maySend(use: Use, place: Place | null): boolean {
  if (place === null || place.state.ended_ms !== null) return false
  const { role, state, me } = place
  if (role === 'lecturer' || use === 'board' || onStage(state, me)) return true
  return use === 'microphone' ? state.floor_open : role !== 'student'
}

/** On an open floor a student's microphone is taken off altogether; elsewhere it is muted. */
function mutesItself({ role, state, me }: Place): boolean {
  return role !== 'student' || onStage(state, me)
}
