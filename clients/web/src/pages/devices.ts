/** What the device check holds: the tracks, how loud one is, why something does not work. */

import { computed, onMounted, onUnmounted, reactive, ref, shallowRef, watch } from 'vue'
import type { DeviceErrorCode } from '@/lesson/types'
import {
  choices, type DeviceList, explained, listDevices, openCamera, openMicrophone, watchDevices,
} from '@/media/devices'
import { meter } from '@/media/meter'
import type { Role } from '@/protocol/events'

export type DeviceUse = 'camera' | 'microphone'
export interface DeviceState {
  wanted: boolean
  asking: boolean
  track: MediaStreamTrack | null
  error: DeviceErrorCode | null
}

/** How a device was left: its track, if it was there already, or only the wish to have it. */
export type Left = MediaStreamTrack | 'opening' | null
export type Entry = Record<DeviceUse, Left>

const none: DeviceList = { cameras: [], microphones: [], speakers: [], named: false }
/** Loud enough to be a voice. */
const HEARD = 0.28

function left(state: DeviceState): Left {
  return state.track ?? (state.wanted && state.asking ? 'opening' : null)
}

export function useDevices(role: Role) {
  const camera = reactive<DeviceState>({ wanted: true, asking: false, track: null, error: null })
  const microphone = reactive<DeviceState>({ wanted: true, asking: false, track: null, error: null })
  const states: Record<DeviceUse, DeviceState> = { camera, microphone }
  const list = shallowRef<DeviceList>(none)
  const level = ref(0)
  const heard = ref(false)
  const preview = computed(() => (camera.track ? new MediaStream([camera.track]) : null))
  /** Counted, so that an answer that comes late (to a question no longer asked) is put away. */
  const asked: Record<DeviceUse, number> = { camera: 0, microphone: 0 }
  let stopMeter: (() => void) | null = null
  let stopWatching: (() => void) | null = null

  async function open(use: DeviceUse): Promise<void> {
    const state = states[use]
    const turn = ++asked[use]
    close(use)
    state.wanted = true
    state.error = null
    state.asking = true
    try {
      const track = await (use === 'camera' ? openCamera(role) : openMicrophone())
      if (turn !== asked[use]) return track.stop()
      state.track = track
      track.addEventListener('ended', () => {
        if (state.track !== track) return
        state.track = null
        state.error = 'not_found'
      })
    } catch (thrown) {
      if (turn === asked[use]) state.error = explained(use, thrown).code
    } finally {
      if (turn === asked[use]) state.asking = false
      await refresh()
    }
  }

  function close(use: DeviceUse): void {
    states[use].track?.stop()
    states[use].track = null
  }

  function turnOff(use: DeviceUse): void {
    asked[use] += 1
    close(use)
    Object.assign(states[use], { wanted: false, asking: false, error: null })
  }

  async function refresh(): Promise<void> {
    if (navigator.mediaDevices) list.value = await listDevices()
  }

  watch(
    () => microphone.track,
    (track) => {
      stopMeter?.()
      level.value = 0
      stopMeter = track
        ? meter(track, (now) => {
            level.value = now
            if (now > HEARD) heard.value = true
          })
        : null
    },
  )
  watch(() => choices.camera, () => camera.wanted && void open('camera'))
  watch(() => choices.microphone, () => microphone.wanted && void open('microphone'))

  onMounted(() => {
    if (navigator.mediaDevices) stopWatching = watchDevices(() => void refresh())
  })
  onUnmounted(() => {
    stopMeter?.()
    stopWatching?.()
  })

  /** Hand the tracks over: whoever takes them also ends them. */
  function take(): Entry {
    const taken = { camera: left(camera), microphone: left(microphone) }
    camera.track = null
    microphone.track = null
    return taken
  }

  return { camera, microphone, list, level, heard, preview, open, turnOff, take }
}
