/** How loud a local track is, for the device check and the own tile; and a tone to test speakers. */

/** Calls `level` about 12 times a second with 0..1 until the returned function is called. */
export function meter(track: MediaStreamTrack, level: (level: number) => void): () => void {
  const context = new AudioContext()
  const source = context.createMediaStreamSource(new MediaStream([track]))
  const analyser = context.createAnalyser()
  analyser.fftSize = 1024
  source.connect(analyser)
  const samples = new Float32Array(analyser.fftSize)
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples)
    level(loudness(samples))
  }, 80)
  return () => {
    clearInterval(timer)
    source.disconnect()
    void context.close()
  }
}

/** Root mean square as 0..1 on a scale that ears agree with: 0 at -60 dBFS and below, 1 at 0. */
export function loudness(samples: Float32Array): number {
  let squares = 0
  for (const value of samples) squares += value * value
  return fromDecibels(10 * Math.log10(squares / samples.length + 1e-12))
}

export function fromDecibels(dbfs: number): number {
  return Math.min(1, Math.max(0, (dbfs + 60) / 60))
}

/** Play three soft notes on the chosen loudspeaker; resolves when they are over. */
export async function testSpeaker(speaker: string): Promise<void> {
  const context = new AudioContext()
  const out = context.createMediaStreamDestination()
  const gain = context.createGain()
  gain.gain.value = 0.2
  gain.connect(out)
  const element = new Audio()
  element.srcObject = out.stream
  await useSpeaker(element, speaker)
  await element.play()
  for (const [index, pitch] of [523, 659, 784].entries()) {
    const note = context.createOscillator()
    note.frequency.value = pitch
    note.connect(gain)
    note.start(context.currentTime + index * 0.3)
    note.stop(context.currentTime + index * 0.3 + 0.25)
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  element.srcObject = null
  await context.close()
}

/** Send an element's sound to a loudspeaker, where the browser lets pages choose one. */
export async function useSpeaker(element: HTMLMediaElement, speaker: string): Promise<void> {
  if (!('setSinkId' in element)) return
  // The device may have been unplugged since it was chosen: the default then plays.
  await element.setSinkId(speaker).catch(() => element.setSinkId('').catch(() => undefined))
}
