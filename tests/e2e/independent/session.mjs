// WHIP and WHEP (RFC 9725) over werift: one offer, ICE restarts by PATCH, and the end by DELETE.

import { createInterface } from "node:readline";
import { RTCPeerConnection, useH264, useOPUS, useVP8 } from "werift";

const VIDEO = { h264: useH264, vp8: useVP8 };

/** What happens, as lines of JSON for the test that started this process. */
export function tell(event) {
  process.stdout.write(JSON.stringify(event) + "\n");
}

export function newPeer(codec) {
  const peer = new RTCPeerConnection({
    codecs: { audio: [useOPUS()], video: [VIDEO[codec]()] },
    iceServers: [],
    iceAdditionalHostAddresses: ["127.0.0.1"],
    iceUseIpv6: false,
    bundlePolicy: "max-bundle",
  });
  peer.connectionStateChange.subscribe((state) => tell({ state }));
  return peer;
}

export class Session {
  constructor(peer, token) {
    this.peer = peer;
    this.token = token;
  }

  async open(url) {
    await this.peer.setLocalDescription(await this.peer.createOffer());
    const response = await this.#request(url, "POST", "application/sdp", this.peer.localDescription.sdp);
    const text = await response.text();
    if (response.status !== 201) {
      tell({ refused: response.status, retryAfter: response.headers.get("retry-after"), problem: JSON.parse(text) });
      process.exit(0);
    }
    this.location = new URL(response.headers.get("location"), url).href;
    this.etag = response.headers.get("etag");
    this.answer = text;
    await this.peer.setRemoteDescription({ type: "answer", sdp: text });
    tell({ opened: this.location, etag: this.etag });
  }

  /** New credentials on both sides; the rest of the answer stays as it was (RFC 9725, 4.3.3). */
  async restart() {
    await this.peer.setLocalDescription(await this.peer.createOffer({ iceRestart: true }));
    const lines = this.peer.localDescription.sdp.split("\r\n");
    const first = lines.findIndex((line) => line.startsWith("m="));
    const ours = ["a=group:", "m=", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:"].map((start) =>
      lines.find((line, number) => line.startsWith(start) && (start !== "m=" || number === first)),
    );
    const response = await this.#request(
      this.location, "PATCH", "application/trickle-ice-sdpfrag", ours.join("\r\n") + "\r\n", { "If-Match": "*" },
    );
    const fragment = await response.text();
    if (response.status !== 200) throw new Error(`PATCH: ${response.status} ${fragment}`);
    const theirs = (name) => fragment.match(new RegExp(`^a=${name}:(.*)$`, "m"))[1].trim();
    this.answer = this.answer
      .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${theirs("ice-ufrag")}\r`)
      .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${theirs("ice-pwd")}\r`)
      .replace(/\r+\n/g, "\r\n");
    await this.peer.setRemoteDescription({ type: "answer", sdp: this.answer });
    // werift waits for the other side's checks once DTLS is up, and an ICE-lite server makes none.
    await Promise.all(this.peer.iceTransports.map((transport) => transport.start()));
    const changed = response.headers.get("etag") !== this.etag;
    this.etag = response.headers.get("etag");
    tell({ restarted: theirs("ice-ufrag"), changed });
  }

  async delete() {
    const response = await this.#request(this.location, "DELETE");
    tell({ deleted: response.status });
    await this.peer.close();
  }

  #request(url, method, type, body, headers = {}) {
    const all = { Authorization: `Bearer ${this.token}`, ...headers };
    if (type) all["Content-Type"] = type;
    return fetch(url, { method, body, headers: all });
  }

  /** Obeys the test: one word a line. */
  async obey() {
    for await (const word of createInterface({ input: process.stdin })) {
      if (word === "restart") await this.restart();
      if (word === "delete") {
        await this.delete();
        break;
      }
    }
    process.exit(0);
  }
}
