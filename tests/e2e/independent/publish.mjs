// node publish.mjs URL TOKEN CODEC VIDEO AUDIO: sends encoded frames by WHIP, over and over.
//
// Both files are frames, each after its length (u32, big-endian). VIDEO's frame rate is FPS; after a
// request for a key frame it goes on at the next one of the file.

import { readFileSync } from "node:fs";
import { H264Packetizer, MediaStreamTrack, OpusPacketizer, Vp8Packetizer } from "werift";
import { Session, newPeer, tell } from "./session.mjs";

const [url, token, codec, videoFile, audioFile] = process.argv.slice(2);
const FPS = 10;
const AUDIO_MS = 20;
const PACKETIZERS = { h264: H264Packetizer, vp8: Vp8Packetizer };

function frames(path) {
  const data = readFileSync(path);
  const found = [];
  for (let at = 0; at < data.length; at += 4 + data.readUInt32BE(at)) {
    found.push(data.subarray(at + 4, at + 4 + data.readUInt32BE(at)));
  }
  return found;
}

function isKeyFrame(frame) {
  if (codec === "vp8") return (frame[0] & 1) === 0;
  return frame.includes(Buffer.from([0, 0, 1, 0x65])) || frame.includes(Buffer.from([0, 0, 1, 0x67]));
}

/** Calls `send` with 0, 1, 2 ... every `periodMs`, without drift. */
function paced(periodMs, send) {
  const started = performance.now();
  let number = 0;
  const next = () => {
    send(number);
    number += 1;
    setTimeout(next, Math.max(0, started + number * periodMs - performance.now()));
  };
  next();
}

const peer = newPeer(codec);
const video = new MediaStreamTrack({ kind: "video" });
const audio = new MediaStreamTrack({ kind: "audio" });
peer.addTransceiver(audio, { direction: "sendonly" });
const camera = peer.addTransceiver(video, { direction: "sendonly" });

const pictures = frames(videoFile);
const sounds = frames(audioFile);
let at = 0;
camera.sender.onPictureLossIndication.subscribe(() => {
  while (!isKeyFrame(pictures[at % pictures.length])) at += 1;
  tell({ keyFrameAsked: true });
});

const session = new Session(peer, token);
await session.open(url);
await peer.connectionStateChange.watch((state) => state === "connected", 10_000).catch(() => process.exit(1));

const videoPackets = new PACKETIZERS[codec]({ maxPayloadSize: 1100 });
const audioPackets = new OpusPacketizer();
paced(1000 / FPS, (number) => {
  for (const packet of videoPackets.packetize(pictures[at % pictures.length], number * (90_000 / FPS))) {
    video.writeRtp(packet);
  }
  at += 1;
});
paced(AUDIO_MS, (number) => {
  for (const packet of audioPackets.packetize(sounds[number % sounds.length], number * AUDIO_MS * 48)) {
    audio.writeRtp(packet);
  }
});
await session.obey();
