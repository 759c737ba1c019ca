// Looks at what a page really shows and plays, from outside its code: pixels of <video> elements,
// samples of received tracks.
(() => {
  const context = () => (window.__probeAudio ??= new AudioContext({ sampleRate: 48000 }))
  const videoOf = (slot) => document.querySelector(`video[data-slot="${slot}"]`)
  const slots = () => window.__kelian.lesson.slots

  const watched = {}
  const inbound = async (slot) => {
    const rows = await window.__kelian.stats()
    return rows.find((row) => row.type === 'inbound-rtp' && row.trackIdentifier === slots()[slot].track.id)
  }

  window.__probe = {
    /** The pixels of a slot's picture as it is rendered, as a PNG data URL; null if none is shown. */
    picture(slot) {
      const video = videoOf(slot)
      if (!video || video.readyState < 2 || !video.videoWidth || !video.checkVisibility()) return null
      const canvas = document.createElement('canvas')
      canvas.width = video.videoWidth
      canvas.height = video.videoHeight
      canvas.getContext('2d').drawImage(video, 0, 0)
      return canvas.toDataURL('image/png')
    },

    frames(slot) {
      const video = videoOf(slot)
      return video ? video.getVideoPlaybackQuality().totalVideoFrames : 0
    },

    source(slot) {
      return Number(videoOf(slot)?.dataset.source ?? 0)
    },

    /** Loudest frequency (Hz) and its level (dBFS) over `ms` of a slot's received sound. */
    async sound(slot, ms) {
      const track = slots()[slot]?.track
      if (!track) return null
      const audio = context()
      await audio.resume()
      const node = audio.createMediaStreamSource(new MediaStream([track]))
      const analyser = audio.createAnalyser()
      analyser.fftSize = 8192
      analyser.smoothingTimeConstant = 0
      node.connect(analyser)
      const bins = new Float32Array(analyser.frequencyBinCount)
      let best = { hz: 0, db: -Infinity }
      const end = performance.now() + ms
      while (performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        analyser.getFloatFrequencyData(bins)
        bins.forEach((db, bin) => {
          if (db > best.db) best = { hz: (bin * audio.sampleRate) / analyser.fftSize, db }
        })
      }
      node.disconnect()
      return { hz: best.hz, db: Number.isFinite(best.db) ? best.db : -200 }
    },

    /**
     * Begins to note the freezes of a slot's picture, each by itself, as the receiver counts them
     * (webrtc-stats: freezeCount, totalFreezesDuration); `flow` says what came of it.
     */
    async watch(slot) {
      clearInterval(watched[slot]?.timer)
      const row = await inbound(slot)
      const seen = { ...row, element: videoOf(slot), first: row.framesDecoded, longest_s: 0 }
      seen.timer = setInterval(async () => {
        const { freezeCount, totalFreezesDuration } = await inbound(slot)
        const freezes = freezeCount - seen.freezeCount
        if (freezes > 0) {
          seen.longest_s = Math.max(seen.longest_s, (totalFreezesDuration - seen.totalFreezesDuration) / freezes)
        }
        Object.assign(seen, { freezeCount, totalFreezesDuration })
      }, 400)
      watched[slot] = seen
    },

    /** Since `watch`: frames decoded, the longest freeze (s), and whether the same element shows it. */
    async flow(slot) {
      const seen = watched[slot]
      const { framesDecoded } = await inbound(slot)
      return { frames: framesDecoded - seen.first, longest_s: seen.longest_s, same: seen.element === videoOf(slot) }
    },
  }

  // How many descriptions were set on any connection: proof that no SDP is exchanged later on.
  window.__descriptions = 0
  for (const name of ['setLocalDescription', 'setRemoteDescription']) {
    const original = RTCPeerConnection.prototype[name]
    RTCPeerConnection.prototype[name] = function (...args) {
      window.__descriptions++
      return original.apply(this, args)
    }
  }
})()
