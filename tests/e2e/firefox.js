// A page of a few lines: the lesson's protocol in JSON, one connection, nothing else.

const pending = new Map();
let socket, peer, slots = {}, count = 0;
const videos = {};

function ask(request) {
  const req = ++count;
  socket.send(JSON.stringify({ req, ...request }));
  return new Promise((resolve) => pending.set(req, resolve));
}

window.enter = (token) =>
  new Promise((resolve, reject) => {
    socket = new WebSocket(`ws://${location.host}/ws`, "kelian.v1.json");
    socket.onerror = () => reject(new Error("no WebSocket"));
    socket.onopen = async () => {
      resolve(await ask({ t: "hello", token, version: 1 }));
    };
    socket.onmessage = ({ data }) => {
      const reply = JSON.parse(data);
      if (reply.t === "slots") slots = reply.slots ?? {};
      pending.get(reply.req)?.(reply);
    };
  });

/** Offers camera, microphone and the lecturer's slots; returns the server's reply. */
window.openMedia = async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
  peer = new RTCPeerConnection();
  const uses = [
    [stream.getVideoTracks()[0], "sendonly", "camera"],
    [stream.getAudioTracks()[0], "sendonly", "microphone"],
    ["audio", "recvonly", "lecturer.audio"],
    ["video", "recvonly", "lecturer.video"],
  ].map(([what, direction, name]) => [peer.addTransceiver(what, { direction }), name]);
  await peer.setLocalDescription();
  const labels = Object.fromEntries(uses.map(([transceiver, name]) => [transceiver.mid, name]));
  const reply = await ask({ t: "offer", sdp: peer.localDescription.sdp, labels });
  if (reply.t !== "answer") return reply;
  await peer.setRemoteDescription({ type: "answer", sdp: reply.sdp });
  for (const [transceiver, name] of uses.slice(2)) {
    videos[name] = document.createElement("video");
    videos[name].srcObject = new MediaStream([transceiver.receiver.track]);
    videos[name].play();
  }
  for (const use of ["camera", "microphone"]) await ask({ t: "publish", session: reply.session, use, on: true });
  return reply;
};

window.received = async () => {
  const found = { state: peer.connectionState, slots };
  for (const report of (await peer.getStats()).values()) {
    if (report.type === "inbound-rtp" && report.kind === "video") found.frames = report.framesDecoded;
    if (report.type === "inbound-rtp" && report.kind === "audio") found.audio = report.packetsReceived;
  }
  const named = peer.getReceivers().flatMap((receiver) => receiver.getContributingSources());
  found.sources = [...new Set(named.map((it) => it.source))];
  return found;
};

/** What is shown now, as a PNG. */
window.picture = (name) => {
  const video = videos[name];
  if (!video.videoWidth) return null;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
};
