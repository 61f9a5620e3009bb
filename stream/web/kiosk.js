// @ts-check
/**
 * The full-screen page of one kiosk, `/kiosk/NAME`: shows the signer of that name, for weeks, with nobody near.
 *
 * Enters: the address of the page. Leaves: a running `<sign-avatar>`, a screen that stays awake. Does not know MQTT
 * nor WebRTC. `<sign-avatar>` reconnects by itself; what it cannot heal, loading the page anew does.
 */

import "./sign-avatar.js";

/** A caption stays readable for so long after its last sign. */
const READABLE_MS = 12_000;
/** Not live for so long: load the page anew, for it may be the page that is broken, or older than the server. */
const BROKEN_MS = 120_000;
const LOOK_EVERY_MS = 5_000;

const name = decodeURIComponent(location.pathname.replace(/\/+$/, "").split("/").pop() ?? "");
const avatar = /** @type {import("./sign-avatar.js").SignAvatar} */ (document.querySelector("#avatar"));
document.title = `${name} · Handstream kiosk`;
avatar.setAttribute("src", `/whep/${encodeURIComponent(name)}`);

/** @type {ReturnType<typeof setTimeout> | undefined} */
let quiet;
avatar.addEventListener("caption", () => {
  clearTimeout(quiet);
  avatar.classList.remove("quiet");
});
avatar.addEventListener("gloss", () => {
  clearTimeout(quiet);
  avatar.classList.remove("quiet");
});
avatar.addEventListener("idle", () => {
  clearTimeout(quiet);
  quiet = setTimeout(() => avatar.classList.add("quiet"), READABLE_MS);
});

/** The screen stays awake while the page is seen; the lock is lost whenever it is not. */
async function stayAwake() {
  if (document.hidden || !("wakeLock" in navigator)) return;
  try {
    await navigator.wakeLock.request("screen");
    document.documentElement.dataset.awake = "yes";
  } catch {
    document.documentElement.dataset.awake = "no"; // low battery, or a policy: then the system decides
  }
}
document.addEventListener("visibilitychange", stayAwake);
stayAwake();

// Browsers go full screen only upon a touch; a kiosk's own mode (chromium --kiosk) needs none.
addEventListener("pointerup", () => {
  if (!document.fullscreenElement) document.documentElement.requestFullscreen?.({ navigationUI: "hide" }).catch(() => {});
});
addEventListener("contextmenu", (event) => event.preventDefault());

let liveAt = performance.now();
setInterval(async () => {
  if (avatar.state === "live" || document.hidden) liveAt = performance.now();
  if (performance.now() - liveAt < BROKEN_MS) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.ok) location.reload(); // never onto an error page, from which nobody would return
  } catch {
    // The server is away: the element goes on trying.
  }
}, LOOK_EVERY_MS);
