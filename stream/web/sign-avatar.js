// @ts-check
/**
 * `<sign-avatar src="/whep/main" captions controls>`: a live signer in any page.
 *
 * Enters: attributes, `say()` and `interrupt()`. Leaves: the picture, the caption with the word being signed, the
 * label, and DOM events: `statechange`, `caption`, `gloss`, `skipped`, `idle`, `settings`, `latency`, `motion`.
 * Does not know how a session is negotiated (whep.js) or renewed (reconnect.js), nor what page it is in.
 *
 * Attributes, methods, events, parts and custom properties: docs/embedding.md.
 */

import { CaptionBlock } from "./captions.js";
import { Compositor } from "./compositor.js";
import { LatencyMeter } from "./latency.js";
import { decodeMotion } from "./motion.js";
import { PictureClock } from "./picture_clock.js";
import { Connection } from "./reconnect.js";
import { fill, stringsFor } from "./strings.js";
import { styleSheet } from "./style.js";
import { Transcript } from "./transcript.js";
import { refusal } from "./whep.js";

const PING_EVERY_MS = 2000;
const TICK_MS = 500;
/** How long a picture waits for the first event before it counts as live without. */
const EVENTS_CAP_MS = 3000;

/** Shapes on a 24-unit square, drawn with strokes. */
const ICONS = {
  label: "M9 3v2M15 3v2M9 19v2M15 19v2M3 9h2M3 15h2M19 9h2M19 15h2M6.5 5h11A1.5 1.5 0 0 1 19 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 5 17.5v-11A1.5 1.5 0 0 1 6.5 5zM10 10h4v4h-4z",
  pause: "M8 5v14M16 5v14",
  play: "M7 5l12 7-12 7z",
  captions: "M4 6h16v12H4zM7 14h4M14 14h3M7 10.5h2M12 10.5h5",
  float: "M3 5h18v14H3zM12 12h7v5h-7z",
  fullscreen: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
};

/** @param {keyof typeof ICONS} name */
const icon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true" part="icon"><path d="${ICONS[name]}"/></svg>`;

const TEMPLATE = `
<div class="frame" part="frame" role="group">
  <div class="stage" part="stage">
    <video part="video" muted autoplay playsinline></video>
    <canvas class="still" aria-hidden="true" hidden></canvas>
    <div class="veil" part="status"><span class="spinner" aria-hidden="true"></span><span class="words" aria-hidden="true"></span>
      <button class="tap" part="button" type="button" hidden></button></div>
  </div>
  <div class="caption empty" part="caption" hidden>
    <p class="text" part="caption-text" dir="auto" aria-hidden="true"></p>
    <span class="tile" part="letter" aria-hidden="true" hidden></span>
    <p class="spoken read" dir="auto" aria-live="polite" aria-relevant="additions"></p>
  </div>
  <p class="spoken told" role="status"></p>
  <div class="bar" part="bar">
    <span class="label" part="label">${icon("label")}<span class="label-text"></span></span>
    <span class="controls" part="controls" hidden>
      <button type="button" part="button" data-do="pause">${icon("pause")}</button>
      <button type="button" part="button" data-do="captions">${icon("captions")}</button>
      <button type="button" part="button" data-do="float" hidden>${icon("float")}</button>
      <button type="button" part="button" data-do="fullscreen" hidden>${icon("fullscreen")}</button>
    </span>
  </div>
</div>`;

/**
 * @typedef {{caption: number, glosses: import("./transcript.js").GlossInfo[], unspellable: unknown[], omitted?: unknown[]}} Said
 * @typedef {{name: string, language: string, avatar: string, rate: number, left_handed: boolean, background: string}} Settings
 */

export class SignAvatar extends HTMLElement {
  static observedAttributes = ["src", "background", "captions", "controls", "label", "lang", "motion"];

  /** STUN and TURN servers; none are needed where the server itself can be reached. @type {RTCIceServer[]} */
  iceServers = [];
  /** What the server last said about this signer. @type {Partial<Settings>} */
  settings = {};
  transcript = new Transcript();

  #meter = new LatencyMeter();
  #pictureClock = new PictureClock();
  /** @type {Connection | null} */ #connection = null;
  /** @type {Compositor | null} */ #compositor = null;
  /** @type {AbortController | null} aborted when the element leaves the page */ #attached = null;
  #captionsHidden = false;
  #renewing = false;
  /** When the present session's first picture was shown. @type {number | null} */ #firstPictureAt = null;
  #eventsCome = false;
  #pausedByViewer = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styleSheet()];
    root.innerHTML = TEMPLATE;
    /** @template {HTMLElement} E @param {string} selector @returns {E} */
    const one = (selector) => /** @type {E} */ (root.querySelector(selector));
    /** @type {{frame: HTMLElement, stage: HTMLElement, video: HTMLVideoElement, still: HTMLCanvasElement, veil: HTMLElement, words: HTMLElement, told: HTMLElement,
     *   tap: HTMLButtonElement, caption: HTMLElement, label: HTMLElement, labelText: HTMLElement, controls: HTMLElement}} */
    this.parts = {
      frame: one(".frame"),
      stage: one(".stage"),
      video: one("video"),
      still: one(".still"),
      veil: one(".veil"),
      words: one(".veil .words"),
      told: one(".told"),
      tap: one(".tap"),
      caption: one(".caption"),
      label: one(".label"),
      labelText: one(".label-text"),
      controls: one(".controls"),
    };
    this.strings = stringsFor("en");
    this.captionBlock = new CaptionBlock(one(".text"), one(".read"), one(".tile"), this.strings);
    // The attribute alone is not enough: a video made by script starts unmuted, and may then not autoplay.
    this.parts.video.muted = true;
    this.parts.tap.addEventListener("click", () => this.play());
    this.parts.controls.addEventListener("click", (event) => this.#control(event));
    this.parts.video.addEventListener("resize", () => this.#fit());
    for (const name of ["play", "pause"]) this.parts.video.addEventListener(name, () => this.#dress());
    this.#countPictures();
  }

  connectedCallback() {
    if (this.#attached) return; // moved within the page: keep the session
    this.#attached = new AbortController();
    const { signal } = this.#attached;
    const ping = setInterval(() => this.#ping(), PING_EVERY_MS);
    const tick = setInterval(() => this.#tell(), TICK_MS);
    signal.addEventListener("abort", () => [ping, tick].forEach(clearInterval));
    this.#dress();
    this.#renew();
  }

  disconnectedCallback() {
    // An element that is moved leaves and comes back within one task.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#attached?.abort();
      this.#attached = null;
      this.#connection?.stop();
      this.#connection = null;
      this.#compositor?.close();
      this.#compositor = null;
    });
  }

  /** @param {string} name @param {string | null} before @param {string | null} now */
  attributeChangedCallback(name, before, now) {
    if (!this.#attached || before === now) return;
    if (name === "src" || name === "motion") this.#renew();
    this.#dress();
    this.#fit();
  }

  /** How things stand: state, reason, remedy, attempt, retryAt. */
  get standing() {
    return this.#connection?.standing ?? { state: "idle", reason: "", remedy: "", attempt: 0, retryAt: null };
  }

  get state() {
    return this.standing.state;
  }

  /** The RTCPeerConnection of the present session (for getStats), null where there is none. */
  get peerConnection() {
    return this.#connection?.session?.pc ?? null;
  }

  /** What was measured about the delay: see latency.js. */
  get latency() {
    return this.#meter.reading();
  }

  /** Name and HTTP address of the signer, from `api` or else from `src` (…/whep/NAME -> …/signers/NAME). */
  get api() {
    const given = this.getAttribute("api");
    const url = new URL(given ?? this.getAttribute("src") ?? "", this.baseURI);
    if (!given) url.pathname = url.pathname.replace(/\/whep\/([^/]+)\/?$/, "/signers/$1");
    return url.href.replace(/\/$/, "");
  }

  /**
   * Have a text signed. Resolves with what becomes of it; rejects with an error that says what to do.
   * @param {string} text
   * @param {{final?: boolean, language?: string}} [options] final: false while more of the same caption follows
   * @returns {Promise<Said>}
   */
  async say(text, { final = true, language } = {}) {
    const at = performance.now();
    const idle = this.transcript.current === null && this.transcript.waiting === 0;
    const said = await this.#post("/text", { text, final, ...(language ? { language } : {}) });
    if (idle && said.caption !== undefined) this.#meter.asked(said.caption, at);
    return said;
  }

  /** Stop signing now and return to rest; what waited is dropped, for everybody who watches this signer. */
  async interrupt() {
    return this.#post("/interrupt", {});
  }

  /** Resolves once the picture is on the screen; at once where it is. @returns {Promise<void>} */
  async whenLive() {
    while (this.state !== "live") {
      await new Promise((resolve) => this.addEventListener("statechange", resolve, { once: true }));
    }
  }

  /** Show the picture (again); browsers that forbid even silent autoplay need this from a click. */
  async play() {
    this.#pausedByViewer = false;
    try {
      await this.parts.video.play();
      this.parts.tap.hidden = true;
    } catch {
      this.parts.tap.hidden = false;
    }
    this.#tell();
  }

  pause() {
    this.#pausedByViewer = true;
    this.parts.video.pause();
    this.#tell();
  }

  /** @param {string} path @param {object} body */
  async #post(path, body) {
    const response = await fetch(this.api + path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw await refusal(response);
    return response.status === 204 ? {} : response.json();
  }

  /** Begin a connection for the present attributes, ending the one before. Several changes in one go count once. */
  #renew() {
    if (this.#renewing) return;
    this.#renewing = true;
    queueMicrotask(() => {
      this.#renewing = false;
      this.#connection?.stop();
      this.#connection = null;
      const src = this.getAttribute("src");
      if (!this.#attached || !src) return this.#tell();
      this.transcript.reset();
      this.#showTranscript();
      this.parts.still.hidden = true; // of another signer
      if (!("RTCPeerConnection" in globalThis)) return this.#tell(this.strings.unsupported);
      const connection = new Connection(new URL(src, this.baseURI), {
        motion: this.getAttribute("motion"),
        iceServers: this.iceServers,
      });
      this.#connection = connection;
      connection.addEventListener("statechange", (event) => {
        this.#tell();
        this.#emit("statechange", /** @type {CustomEvent} */ (event).detail);
      });
      connection.addEventListener("session", (event) => this.#watch(/** @type {CustomEvent} */ (event).detail.session));
      connection.start();
    });
  }

  /** @param {import("./whep.js").WhepSession} session */
  #watch(session) {
    this.#meter.reset();
    this.#pictureClock.reset();
    // What was being signed when the last session broke is no longer; the server tells what is.
    this.transcript.idle();
    this.#showTranscript();
    this.#firstPictureAt = null;
    this.#eventsCome = false;
    this.parts.video.srcObject = session.stream;
    if (!this.#pausedByViewer) this.play();
    session.addEventListener("message", (event) => {
      const { channel, data } = /** @type {CustomEvent} */ (event).detail;
      if (channel === "motion") this.#moved(data);
      else this.#received(data);
    });
    session.addEventListener("channel", () => this.#ping());
    session.addEventListener("ending", () => this.#keepStill());
    // A hidden page and a paused video present no pictures; being connected is then proof enough.
    session.pc.addEventListener("connectionstatechange", () => {
      const presents = !document.hidden && !this.#pausedByViewer;
      if (session.pc.connectionState === "connected" && !presents) this.#connection?.live();
    });
  }

  /** @param {string} data one message of the events channel */
  #received(data) {
    // The browser calls a channel open before the server knows of it; the server's first word is the proof.
    this.#eventsCome = true;
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not of our making
    }
    switch (message.type) {
      case "caption":
        this.transcript.caption(message);
        this.#showTranscript();
        return this.#emit("caption", message);
      case "gloss":
        return this.#pictureClock.at(message.rtp, (picture) => {
          this.transcript.gloss(message);
          // Without its picture the moment is not known, and no figure is better than a wrong one.
          if (picture) this.#meter.began(message.caption, picture.expectedDisplayTime);
          this.#showTranscript();
          this.#emit("gloss", message);
        });
      case "skipped":
        this.transcript.skipped(message);
        this.#showTranscript();
        return this.#emit("skipped", message);
      case "idle":
        return this.#pictureClock.at(message.rtp, () => {
          this.transcript.idle();
          this.#showTranscript();
          this.#emit("idle", message);
        });
      case "hello":
      case "settings":
        Object.assign(this.settings, message.signer);
        this.#fit();
        return this.#emit("settings", this.settings);
      case "latency":
        this.#meter.stages(message);
        return this.#emit("latency", this.latency);
      case "pong":
        this.#meter.pong(message.t);
        return this.#emit("latency", this.latency);
      default: // a later server may speak more than we know
    }
  }

  /** @param {ArrayBuffer} data */
  #moved(data) {
    try {
      this.#emit("motion", decodeMotion(data));
    } catch (error) {
      if (!this.#motionRefused) console.warn(String(error));
      this.#motionRefused = true; // once is enough: there are 25 a second
    }
  }
  #motionRefused = false;

  #ping() {
    this.#connection?.session?.send({ type: "ping", t: performance.now() });
  }

  #countPictures() {
    const { video } = this.parts;
    if (!("requestVideoFrameCallback" in video)) {
      this.parts.video.addEventListener("timeupdate", () => this.#shown(performance.now()));
      return;
    }
    /** @type {VideoFrameRequestCallback} */
    const next = (_, metadata) => {
      this.#meter.picture(metadata);
      this.#pictureClock.picture(metadata);
      if (this.state !== "live") this.#shown(metadata.presentationTime);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  /** Live is whoever sees the picture and hears the events (or finds a server that has none). @param {number} now */
  #shown(now) {
    if (!this.#connection?.session) return; // the black picture after the last one
    this.#firstPictureAt ??= now;
    if (!this.#eventsCome && now - this.#firstPictureAt < EVENTS_CAP_MS) return;
    this.parts.still.hidden = true;
    this.#connection?.live();
  }

  /** Keep the last picture in view: a video whose stream has ended turns black. */
  #keepStill() {
    const { video, still } = this.parts;
    if (!video.videoWidth || this.#firstPictureAt === null || this.#compositor) return;
    still.width = video.videoWidth;
    still.height = video.videoHeight;
    still.getContext("2d")?.drawImage(video, 0, 0);
    still.hidden = false;
    this.#tell();
  }

  /** Colour above, matte below: told by the server, or by a picture twice as tall as the signer's. */
  get #stacked() {
    const { videoWidth, videoHeight } = this.parts.video;
    if (!videoWidth) return false;
    return videoHeight === 2 * videoWidth || (this.settings.background === "transparent" && videoHeight > videoWidth);
  }

  /** Lay the stage out for the picture that comes, and composite it where it carries a matte. */
  #fit() {
    const { video, stage } = this.parts;
    const stacked = this.#stacked;
    const height = video.videoHeight / (stacked ? 2 : 1);
    if (video.videoWidth) stage.style.setProperty("--_aspect", String(video.videoWidth / height));
    if (stacked === Boolean(this.#compositor)) return;
    stage.classList.toggle("composited", stacked);
    if (stacked && this.#attached) {
      this.#compositor = new Compositor(video, stage, { webgl: this.getAttribute("compositor") !== "2d" });
      stage.prepend(this.#compositor.canvas);
      this.#compositor.start();
    } else {
      this.#compositor?.close();
      this.#compositor = null;
    }
    this.#dress();
  }

  /** Which way pictures are composited: "webgl", "2d", or null where they are shown as they come. */
  get compositing() {
    return this.#compositor?.path ?? null;
  }

  #showTranscript() {
    const view = this.transcript.view();
    this.captionBlock.show(view);
    this.parts.caption.classList.toggle("empty", view.words.length === 0);
  }

  /** Everything that follows from attributes. */
  #dress() {
    const tag = this.lang || this.closest("[lang]")?.getAttribute("lang") || document.documentElement.lang || "en";
    this.strings = stringsFor(tag);
    this.captionBlock.strings = this.strings;
    const { frame, video, caption, controls, label, labelText, tap } = this.parts;
    frame.setAttribute("aria-label", this.getAttribute("aria-label") ?? this.strings.region);
    video.setAttribute("aria-label", this.strings.picture);
    // An empty label would hide what viewers have a right to know.
    labelText.textContent = this.getAttribute("label")?.trim() || this.strings.label;
    label.title = this.strings.labelHelp;
    tap.textContent = this.strings.tap;
    const over = this.getAttribute("captions") === "over";
    frame.classList.toggle("over", over);
    const place = over ? this.parts.stage : frame;
    if (caption.parentElement !== place) place.insertBefore(caption, over ? null : label.parentElement);
    caption.hidden = !this.hasAttribute("captions") || this.#captionsHidden;
    controls.hidden = !this.hasAttribute("controls");
    this.#button("pause", video.paused ? "play" : "pause", video.paused ? "play" : "pause");
    this.#button("captions", "captions", this.#captionsHidden ? "captionsOn" : "captionsOff", this.hasAttribute("captions"));
    this.#button("float", "float", "float", Boolean(document.pictureInPictureEnabled) && !this.#compositor);
    this.#button("fullscreen", "fullscreen", "fullscreen", Boolean(document.fullscreenEnabled));
    this.#tell();
  }

  /** @param {string} what @param {keyof typeof ICONS} shape @param {string} text @param {boolean} [shown] */
  #button(what, shape, text, shown = true) {
    const button = /** @type {HTMLButtonElement} */ (this.parts.controls.querySelector(`[data-do="${what}"]`));
    button.hidden = !shown;
    button.title = this.strings[text];
    button.setAttribute("aria-label", this.strings[text]);
    if (button.dataset.shape !== shape) button.innerHTML = icon(shape);
    button.dataset.shape = shape;
  }

  /** @param {Event} event */
  #control(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest("button");
    const { video } = this.parts;
    switch (button?.dataset.do) {
      case "pause":
        if (video.paused) this.play();
        else this.pause();
        break;
      case "captions":
        this.#captionsHidden = !this.#captionsHidden;
        this.#dress();
        break;
      case "float":
        if (document.pictureInPictureElement) document.exitPictureInPicture();
        else video.requestPictureInPicture().catch(() => {});
        break;
      case "fullscreen":
        if (document.fullscreenElement) document.exitFullscreen();
        else this.requestFullscreen().catch(() => {});
        break;
    }
  }

  /** How things stand, in words: `element.statusText` for pages, and the veil over the picture. */
  get statusText() {
    const { state, reason, retryAt } = this.standing;
    const seconds = retryAt === null ? 0 : Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    if (state === "live" && this.parts.video.paused) return this.strings.paused;
    if (state === "connecting" && retryAt !== null) return fill(this.strings.retry, { reason: capital(reason), seconds });
    return fill(this.strings[state], { reason, seconds });
  }

  /** @param {string} [text] */
  #tell(text = this.statusText) {
    const { veil, words, told, tap } = this.parts;
    const blocked = !tap.hidden;
    veil.hidden = this.state === "live" && !blocked && !this.parts.video.paused;
    // The last picture stays visible while a lost connection is renewed.
    veil.classList.toggle("quiet", (!this.parts.still.hidden || Boolean(this.#compositor) || this.state === "live") && !blocked);
    if (words.textContent !== text) words.textContent = text;
    // Read aloud once per change: a countdown in a live region would never be silent.
    const spoken = text.replace(/\d+/g, "…");
    if (told.dataset.text !== spoken) told.textContent = text;
    told.dataset.text = spoken;
  }

  /** @param {string} type @param {unknown} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

if (!customElements.get("sign-avatar")) customElements.define("sign-avatar", SignAvatar);
