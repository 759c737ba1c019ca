/**
 * Cameras, microphones, loudspeakers and shared screens: what there is, which the user chose, and
 * why one cannot be had. Choices are remembered in this browser.
 */

import { reactive, watch as watchValue } from 'vue'

import type { DeviceErrorCode } from '@/lesson/types'
import type { Role, Use } from '@/protocol/events'

import { boardSize, cameraSize, QUALITIES, type Quality } from './quality'

export interface DeviceChoices {
  /** Device ids; empty: the system's default. */
  camera: string
  microphone: string
  speaker: string
  quality: Quality
  /** Echo cancellation, noise suppression and gain control; off for music or a mixing desk. */
  voiceProcessing: boolean
}

export interface DeviceList {
  cameras: MediaDeviceInfo[]
  microphones: MediaDeviceInfo[]
  speakers: MediaDeviceInfo[]
  /** Names are known only after a permission was given once. */
  named: boolean
}

/** Why a device cannot be had. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError'

  constructor(readonly code: DeviceErrorCode, readonly use: Use, cause: unknown) {
    super(`${use}: ${code}`, { cause })
  }
}

const STORED_AT = 'kelian.devices'

/** Reactive, and stored whenever it changes. */
export const choices: DeviceChoices = reactive(stored())

watchValue(choices, () => {
  try {
    localStorage.setItem(STORED_AT, JSON.stringify(choices))
  } catch {
    // Storage may be full or forbidden (private windows): the choice then lives as long as the page.
  }
})

function stored(): DeviceChoices {
  const defaults: DeviceChoices = { camera: '', microphone: '', speaker: '', quality: 'normal', voiceProcessing: true }
  try {
    const found = JSON.parse(localStorage.getItem(STORED_AT) ?? '{}') as Partial<DeviceChoices>
    const quality = QUALITIES.find((one) => one === found.quality) ?? defaults.quality
    return { ...defaults, ...found, quality }
  } catch {
    return defaults
  }
}

export async function listDevices(): Promise<DeviceList> {
  const devices = await navigator.mediaDevices.enumerateDevices()
  const of = (kind: MediaDeviceKind) => devices.filter((device) => device.kind === kind)
  return {
    cameras: of('videoinput'),
    microphones: of('audioinput'),
    speakers: of('audiooutput'),
    named: devices.some((device) => device.label !== ''),
  }
}

/** Calls back whenever a device is plugged in or out, until the returned function is called. */
export function watchDevices(changed: () => void): () => void {
  navigator.mediaDevices.addEventListener('devicechange', changed)
  return () => { navigator.mediaDevices.removeEventListener('devicechange', changed) }
}

/** The chosen camera, or the default one when the chosen is gone. Throws DeviceError. */
export async function openCamera(role: Role): Promise<MediaStreamTrack> {
  const size = cameraSize(role, choices.quality)
  const wish: MediaTrackConstraints = {
    width: { ideal: size.width },
    height: { ideal: size.height },
    frameRate: { ideal: size.fps, max: 30 },
    ...(choices.camera === '' ? { facingMode: 'user' } : { deviceId: { ideal: choices.camera } }),
  }
  return await open('camera', { video: wish })
}

/** The chosen microphone, or the default one when the chosen is gone. Throws DeviceError. */
export async function openMicrophone(): Promise<MediaStreamTrack> {
  const { voiceProcessing, microphone } = choices
  const wish: MediaTrackConstraints = {
    echoCancellation: voiceProcessing,
    noiseSuppression: voiceProcessing,
    autoGainControl: voiceProcessing,
    channelCount: { ideal: 1 },
    ...(microphone === '' ? {} : { deviceId: { ideal: microphone } }),
  }
  return await open('microphone', { audio: wish })
}

/** Ask the user for a screen, window or tab. Throws DeviceError, `dismissed` when they think better of it. */
export async function openBoard(): Promise<MediaStreamTrack> {
  requireDevices('board', 'getDisplayMedia')
  const size = boardSize(choices.quality)
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({
      video: { width: { max: size.width }, height: { max: size.height }, frameRate: { max: size.fps } },
      audio: false,
    })
    return theTrack(stream, 'board')
  } catch (thrown) {
    throw explained('board', thrown)
  }
}

async function open(use: Use, constraints: MediaStreamConstraints): Promise<MediaStreamTrack> {
  requireDevices(use, 'getUserMedia')
  try {
    return theTrack(await navigator.mediaDevices.getUserMedia(constraints), use)
  } catch (thrown) {
    throw explained(use, thrown)
  }
}

function requireDevices(use: Use, method: 'getUserMedia' | 'getDisplayMedia'): void {
  if (!window.isSecureContext) throw new DeviceError('insecure', use, null)
  const has = 'mediaDevices' in navigator && typeof navigator.mediaDevices[method] === 'function'
  if (!has) throw new DeviceError('unsupported', use, null)
}

function theTrack(stream: MediaStream, use: Use): MediaStreamTrack {
  const [track] = stream.getTracks()
  if (track === undefined) throw new DeviceError('not_found', use, null)
  return track
}

/** The browsers' exceptions in terms of what the user can do about them. */
export function explained(use: Use, thrown: unknown): DeviceError {
  if (thrown instanceof DeviceError) return thrown
  const { name, message } = thrown instanceof Error ? thrown : { name: '', message: '' }
  return new DeviceError(codeOf(use, name, message), use, thrown)
}

function codeOf(use: Use, name: string, message: string): DeviceErrorCode {
  switch (name) {
    case 'NotAllowedError':
      if (/system/i.test(message)) return 'denied_by_system'
      // For a screen, "denied" is what closing the dialogue looks like.
      return use === 'board' || /dismissed/i.test(message) ? 'dismissed' : 'denied'
    case 'NotFoundError':
    case 'OverconstrainedError': return 'not_found'
    case 'NotReadableError':
    case 'AbortError': return 'in_use'
    case 'SecurityError': return 'insecure'
    case 'TypeError':
    case 'NotSupportedError': return 'unsupported'
    default: return 'failed'
  }
}
