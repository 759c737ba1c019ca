// node watch.mjs URL TOKEN CODEC VIDEO AUDIO: watches by WHEP, and appends what comes to two files.
//
// Both files are encoded frames, each after its length and its RTP timestamp (u32, big-endian).

import { openSync, writeSync } from "node:fs";
import { H264RtpPayload, OpusRtpPayload, Vp8RtpPayload } from "werift";
import { DepacketizeBase } from "werift/nonstandard";
import { Session, newPeer, tell } from "./session.mjs";

const [url, token, codec, videoFile, audioFile] = process.argv.slice(2);
const VIDEO = { h264: ["MPEG4/ISO/AVC", H264RtpPayload], vp8: ["VP8", Vp8RtpPayload] };
const KINDS = { video: [videoFile, ...VIDEO[codec]], audio: [audioFile, "OPUS", OpusRtpPayload] };

const peer = newPeer(codec);
for (const kind of ["audio", "video"]) {
  const [path, name, payload] = KINDS[kind];
  const file = openSync(path, "w");
  const frames = new DepacketizeBase(name, {
    isFinalPacketInSequence: (header) => payload.isDetectedFinalPacketInSequence(header),
    waitForKeyframe: kind === "video",
  });
  const transceiver = peer.addTransceiver(kind, { direction: "recvonly" });
  transceiver.onTrack.subscribe((track) => {
    track.onReceiveRtp.once(({ header }) => tell({ first: kind, csrc: header.csrc, ssrc: header.ssrc }));
    track.onReceiveRtp.subscribe((rtp) => {
      for (const { frame } of frames.processInput({ rtp, time: 0 })) {
        const head = Buffer.alloc(8);
        head.writeUInt32BE(frame.data.length, 0);
        head.writeUInt32BE(frame.timestamp, 4);
        writeSync(file, Buffer.concat([head, frame.data]));
      }
    });
  });
}

const session = new Session(peer, token);
await session.open(url);
await session.obey();
