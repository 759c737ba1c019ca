/**
 * Playing what arrives. Sound of every slot is played by elements that live here, not in tiles, so
 * that it goes on whatever the page shows; video elements are always muted, which every browser
 * lets play by itself.
 */

import type { Directive } from 'vue'

import { useSpeaker } from './meter'

export class SoundPlayer {
  private readonly elements = new Map<string, HTMLAudioElement>()
  private volume = 1
  private speaker = ''

  /** `blocked` is told whenever the browser begins or ceases to forbid sound. */
  constructor(private readonly blocked: (blocked: boolean) => void) {}

  /** Play this stream for the slot; null: nothing. The same again changes nothing. */
  play(slot: string, stream: MediaStream | null): void {
    if (stream === null && !this.elements.has(slot)) return
    const element = this.elements.get(slot) ?? this.add(slot)
    if (element.srcObject === stream) return
    element.srcObject = stream
    if (stream !== null) void this.start(element)
  }

  /** In a click handler: browsers let sound begin then. */
  async unblock(): Promise<void> {
    const all = [...this.elements.values()].filter((element) => element.srcObject !== null)
    const results = await Promise.all(all.map((element) => this.start(element)))
    if (!results.includes(false)) this.blocked(false)
  }

  setVolume(volume: number): void {
    this.volume = Math.min(1, Math.max(0, volume))
    for (const element of this.elements.values()) element.volume = this.volume
  }

  async setSpeaker(speaker: string): Promise<void> {
    this.speaker = speaker
    await Promise.all([...this.elements.values()].map((element) => useSpeaker(element, speaker)))
  }

  close(): void {
    for (const element of this.elements.values()) {
      element.srcObject = null
      element.remove()
    }
    this.elements.clear()
  }

  private add(slot: string): HTMLAudioElement {
    const element = document.createElement('audio')
    element.autoplay = true
    element.dataset['slot'] = slot
    element.volume = this.volume
    element.hidden = true
    document.body.append(element)
    this.elements.set(slot, element)
    if (this.speaker !== '') void useSpeaker(element, this.speaker)
    return element
  }

  /** False when the browser wants a touch first. */
  private async start(element: HTMLAudioElement): Promise<boolean> {
    try {
      await element.play()
      return true
    } catch (error) {
      // A stream swapped while starting is an abort, and no harm.
      const forbidden = error instanceof DOMException && error.name === 'NotAllowedError'
      if (forbidden) this.blocked(true)
      return !forbidden
    }
  }
}

/**
 * `<video v-play="tile.stream" muted autoplay playsinline>`: shows the stream, and nothing at all
 * (no last picture) for null.
 */
export const vPlay: Directive<HTMLVideoElement, MediaStream | null> = {
  mounted: (element, { value }) => { show(element, value) },
  updated: (element, { value }) => { show(element, value) },
  beforeUnmount: (element) => { element.srcObject = null },
}

function show(element: HTMLVideoElement, stream: MediaStream | null): void {
  if (element.srcObject === stream) return
  element.muted = true
  element.srcObject = stream
  // Muted video may always play; an abort only says that the next stream came sooner.
  if (stream !== null) element.play().catch(() => undefined)
}
