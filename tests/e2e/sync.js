// Measures lip sync as a page plays it: when a white patch is displayed against when the tone that
// belongs to it sounds. Both times are of performance.now().
window.__sync = async (videoSlot, audioSlot, seconds) => {
  const video = document.querySelector(`video[data-slot="${videoSlot}"]`)
  const track = window.__kelian.lesson.slots[audioSlot].track
  const flashes = []
  const beeps = []

  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = 4
  const pixels = canvas.getContext('2d', { willReadFrequently: true })
  let lit = true
  let running = true
  const look = (_, frame) => {
    const side = video.videoHeight / 8
    pixels.drawImage(video, video.videoWidth - side * 0.75, side * 0.25, side / 2, side / 2, 0, 0, 4, 4)
    const bright = pixels.getImageData(1, 1, 1, 1).data[1] > 128
    if (bright && !lit) flashes.push(frame.expectedDisplayTime)
    lit = bright
    if (running) video.requestVideoFrameCallback(look)
  }
  video.requestVideoFrameCallback(look)

  const audio = new AudioContext({ sampleRate: 48000, latencyHint: 'interactive' })
  await audio.resume()
  const detector = `
    registerProcessor('beep', class extends AudioWorkletProcessor {
      constructor() { super(); this.size = 240; this.window = new Float32Array(240); this.n = 0; this.loud = true; this.since = 0 }
      process([[samples]]) {
        for (let i = 0; samples && i < samples.length; i++) {
          this.window[this.n++] = samples[i]
          if (this.n < this.size) continue
          this.n = 0
          let re = 0, im = 0, power = 1e-12
          for (let k = 0; k < this.size; k++) {
            const phase = 2 * Math.PI * 1000 * k / 48000
            re += this.window[k] * Math.cos(phase); im += this.window[k] * Math.sin(phase)
            power += this.window[k] * this.window[k]
          }
          const tone = 2 * (re * re + im * im) / this.size / power
          const loud = tone > 0.9 && power / this.size > 0.01
          if (loud && !this.loud && currentTime - this.since > 0.5) {
            this.since = currentTime
            this.port.postMessage(currentTime + (i - this.size) / 48000)
          }
          this.loud = loud
        }
        return true
      }
    })`
  await audio.audioWorklet.addModule('data:text/javascript,' + encodeURIComponent(detector))
  const node = new AudioWorkletNode(audio, 'beep')
  node.port.onmessage = ({ data }) => {
    const now = audio.getOutputTimestamp()
    beeps.push(now.performanceTime + (data - now.contextTime) * 1000)
  }
  audio.createMediaStreamSource(new MediaStream([track])).connect(node).connect(audio.destination)

  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  running = false
  await audio.close()
  // Positive: the sound comes after the picture.
  const offsets = flashes.flatMap((flash) => {
    const nearest = beeps.reduce((a, b) => (Math.abs(b - flash) < Math.abs(a - flash) ? b : a), Infinity)
    return Math.abs(nearest - flash) < 400 ? [nearest - flash] : []
  })
  return { offsets, flashes: flashes.length, beeps: beeps.length }
}
