// @ts-check
/**
 * One WHEP session: an offer goes out, an answer comes back, a picture arrives.
 *
 * Enters: the address of a signer and the data channels to open. Leaves: a MediaStream, messages of the
 * channels, and one `lost` event when the session is over. Does not know about trying again
 * (reconnect.js), nor what the messages mean (transcript.js, sign-avatar.js).
 */

/** How long to wait for ICE candidates; the server does not trickle, so the offer must carry them all. */
export const GATHERING_CAP_MS = 1500;
/** How long a handshake may take before it counts as failed. */
export const HANDSHAKE_CAP_MS = 12000;
/** No new picture for this long means the far end is gone, whatever ICE still believes. */
export const SILENCE_CAP_MS = 4000;
/** ICE often recovers from `disconnected` by itself (a short loss of radio, say). */
const DISCONNECTED_GRACE_MS = 2500;
const WATCH_EVERY_MS = 1000;
/** How long a connection outlives its end, to say goodbye. */
const FAREWELL_CAP_MS = 1000;
const SERVER_CLOSED = "the server closed the session";

/** A refused or failed session, with what the server said to do about it. */
export class WhepError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, retryAfterMs?: number | null, remedy?: string}} [more]
   */
  constructor(message, { status = 0, retryAfterMs = null, remedy = "" } = {}) {
    super(message);
    this.name = "WhepError";
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.remedy = remedy;
  }
}

/**
 * Milliseconds that a `Retry-After` header asks for (seconds or an HTTP date), null where there is none.
 * @param {string | null} header
 * @returns {number | null}
 */
export function retryAfterMs(header) {
  if (!header) return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}

/**
 * What an answer other than 2xx says, as an error.
 * @param {Response} response
 */
export async function refusal(response) {
  let said = { error: "", remedy: "" };
  try {
    said = { ...said, ...(await response.json()) };
  } catch {
    // Proxies answer with HTML; the status alone must do.
  }
  return new WhepError(said.error || `the server answered ${response.status} ${response.statusText}`.trim(), {
    status: response.status,
    retryAfterMs: retryAfterMs(response.headers.get("Retry-After")),
    remedy: said.remedy,
  });
}

/**
 * Resolve once the offer holds every candidate, or when the cap is reached.
 * @param {RTCPeerConnection} pc
 */
function gathered(pc) {
  return new Promise((resolve) => {
    if (pc.iceGatheringState === "complete") return resolve(undefined);
    const cap = setTimeout(resolve, GATHERING_CAP_MS);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(cap);
      resolve(undefined);
    });
  });
}

/**
 * Ask for capture times, which browsers know and do not ask for by themselves: they tell how old a picture is.
 * @param {RTCRtpTransceiver & {getHeaderExtensionsToNegotiate?: () => any[], setHeaderExtensionsToNegotiate?: (list: any[]) => void}} transceiver
 */
function negotiateCaptureTime(transceiver) {
  const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
  if (!extensions || !transceiver.setHeaderExtensionsToNegotiate) return;
  for (const extension of extensions) {
    if (/abs-capture-time|playout-delay/.test(extension.uri)) extension.direction = "sendrecv";
  }
  try {
    transceiver.setHeaderExtensionsToNegotiate(extensions);
  } catch {
    // Only a measurement is lost.
  }
}

/**
 * Events: `message` (detail {channel, data}), `channel` (detail {channel}: it opened); then once each
 * `ending` (the picture is still there) and `lost` (detail {reason}; it is not).
 */
export class WhepSession extends EventTarget {
  /**
   * Open a session. Rejects with `WhepError`; whatever was begun is then closed again.
   * @param {URL} url
   * @param {{motion?: string | null, iceServers?: RTCIceServer[], signal: AbortSignal}} options
   */
  static async open(url, options) {
    const session = new WhepSession(url, options);
    const late = setTimeout(() => session.end("the handshake took too long"), HANDSHAKE_CAP_MS);
    try {
      await session.#handshake(options.signal);
      return session;
    } catch (error) {
      session.close();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  /** @type {Map<string, RTCDataChannel>} */
  #channels = new Map();
  /** @type {URL | null} the session's own address, to be deleted */
  #resource = null;
  #ended = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #watch;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #grace;

  /**
   * @param {URL} url
   * @param {{motion?: string | null, iceServers?: RTCIceServer[]}} options
   */
  constructor(url, { motion = null, iceServers = [] }) {
    super();
    this.url = url;
    this.stream = new MediaStream();
    this.pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    const transceiver = this.pc.addTransceiver("video", { direction: "recvonly" });
    const { receiver } = transceiver;
    negotiateCaptureTime(transceiver);
    // A signer is a conversation: no buffering beyond what the network forces upon us.
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    this.stream.addTrack(receiver.track);
    this.#channel("events", { ordered: true });
    // Late motion is worth nothing: neither order nor repetition. The channel's protocol names the precision.
    if (motion !== null) this.#channel("motion", { ordered: false, maxRetransmits: 0, protocol: motion });
    this.pc.addEventListener("connectionstatechange", () => this.#connectionChanged());
  }

  /**
   * Send one JSON message on the `events` channel; false where it is not open.
   * @param {object} message
   */
  send(message) {
    const channel = this.#channels.get("events");
    if (channel?.readyState !== "open") return false;
    channel.send(JSON.stringify(message));
    return true;
  }

  /** Pictures received so far (also counts while the page is hidden). */
  async framesReceived() {
    for (const report of (await this.pc.getStats()).values()) {
      if (report.type === "inbound-rtp" && report.kind === "video") return report.framesReceived ?? 0;
    }
    return 0;
  }

  /** Close, and tell the server, so that it need not find out by itself. */
  close() {
    this.end("closed");
  }

  /** The page is being left: there is no later, so goodbye and hanging up go out together, and one will arrive. */
  closeNow() {
    this.end("closed");
    this.pc.close();
  }

  /** @param {string} reason */
  end(reason) {
    if (this.#ended) return;
    this.#ended = true;
    this.dispatchEvent(new CustomEvent("ending"));
    clearInterval(this.#watch);
    clearTimeout(this.#grace);
    this.stream.getTracks().forEach((track) => track.stop());
    // The server ends a session by itself when its connection closes: the farewell has to get there first.
    const farewell = reason === SERVER_CLOSED ? Promise.resolve() : this.#farewell();
    farewell.finally(() => this.pc.close());
    this.dispatchEvent(new CustomEvent("lost", { detail: { reason } }));
  }

  /** Have the session deleted; resolves soon, whatever becomes of it. */
  async #farewell() {
    if (!this.#resource) return;
    // keepalive: this also has to get through while the page is being left.
    const options = { method: "DELETE", keepalive: true, signal: AbortSignal.timeout(FAREWELL_CAP_MS) };
    await fetch(this.#resource, options).catch(() => {});
  }

  /**
   * @param {string} label
   * @param {RTCDataChannelInit} options
   */
  #channel(label, options) {
    const channel = this.pc.createDataChannel(label, options);
    channel.binaryType = "arraybuffer";
    channel.addEventListener("open", () =>
      this.dispatchEvent(new CustomEvent("channel", { detail: { channel: label } })),
    );
    channel.addEventListener("message", ({ data }) =>
      this.dispatchEvent(new CustomEvent("message", { detail: { channel: label, data } })),
    );
    // A server that stops in good order closes its channels first: the earliest sign there is.
    if (label === "events") channel.addEventListener("close", () => this.end(SERVER_CLOSED));
    this.#channels.set(label, channel);
  }

  /** @param {AbortSignal} signal */
  async #handshake(signal) {
    await this.pc.setLocalDescription();
    await gathered(this.pc);
    signal.throwIfAborted();
    let response;
    try {
      response = await fetch(this.url, {
        method: "POST",
        headers: { "Content-Type": "application/sdp", Accept: "application/sdp" },
        body: this.pc.localDescription?.sdp,
        // A session the server opened must be known here even if we no longer want it: close() deletes it.
        signal: AbortSignal.timeout(HANDSHAKE_CAP_MS),
      });
    } catch {
      throw new WhepError("the server cannot be reached", { remedy: "is it running, and is the address right?" });
    }
    if (response.status !== 201 && response.status !== 200) throw await refusal(response);
    const location = response.headers.get("Location");
    if (location) this.#resource = new URL(location, response.url);
    const sdp = await response.text();
    if (this.#ended || signal.aborted) {
      await this.#farewell();
      throw new WhepError("the session is no longer wanted");
    }
    await this.pc.setRemoteDescription({ type: "answer", sdp });
    this.#watchPictures();
  }

  #connectionChanged() {
    clearTimeout(this.#grace);
    const state = this.pc.connectionState;
    if (state === "failed") this.end("the connection broke");
    if (state === "disconnected") {
      this.#grace = setTimeout(() => this.end("the connection broke"), DISCONNECTED_GRACE_MS);
    }
  }

  /** Ends the session when pictures stop: a killed server says no goodbye, and ICE takes half a minute to notice. */
  #watchPictures() {
    let seen = -1;
    let changedAt = performance.now();
    let lookedAt = changedAt;
    this.#watch = setInterval(async () => {
      const frames = await this.framesReceived();
      const now = performance.now();
      // A sleeping laptop or a throttled tab: our own clock stood still, so silence proves nothing.
      const asleep = now - lookedAt > 3 * WATCH_EVERY_MS;
      lookedAt = now;
      if (frames !== seen || asleep) {
        seen = frames;
        changedAt = now;
      } else if (now - changedAt > SILENCE_CAP_MS) {
        this.end(frames > 0 ? "pictures stopped coming" : "no picture came");
      }
    }, WATCH_EVERY_MS);
  }
}
