// @ts-check
/**
 * Every word the element itself shows, in the languages it speaks.
 *
 * Enters: a BCP 47 tag (the `lang` of the element or of the page). Leaves: the strings. To add a language, add a
 * table; what it lacks is taken from English. The label's text is also open to the page: `label="…"`.
 */

/** @type {Record<string, Record<string, string>>} */
export const STRINGS = {
  en: {
    label: "Machine-generated signing",
    labelHelp: "This signer is drawn by a computer. It can make mistakes and does not replace a human interpreter.",
    region: "Signing avatar",
    picture: "Signer, machine-generated",
    idle: "Not started",
    connecting: "Connecting …",
    live: "Live",
    reconnecting: "Connection lost. Reconnecting …",
    full: "All places are taken. Trying again in {seconds} s",
    offline: "This device is offline. Waiting for the network …",
    failed: "Not available: {reason}. Trying again in {seconds} s",
    retry: "{reason}. Trying again in {seconds} s",
    tap: "Show the signer",
    pause: "Pause the picture",
    play: "Play the picture",
    paused: "Paused",
    captionsOn: "Show captions",
    captionsOff: "Hide captions",
    float: "Picture in picture",
    fullscreen: "Full screen",
    signed: "",
    omitted: "Not signed: left out, as the grammar of the signed language does",
    unspellable: "Not signed: no sign and no letters for it",
    unsupported: "This browser cannot show live video (WebRTC is missing or switched off)",
  },
  de: {
    label: "Maschinell erzeugte Gebärden",
    labelHelp:
      "Diese Figur zeichnet ein Computer. Sie kann sich irren und ersetzt keine Dolmetscherin und keinen Dolmetscher.",
    region: "Gebärdender Avatar",
    picture: "Gebärdende Figur, maschinell erzeugt",
    idle: "Nicht gestartet",
    connecting: "Verbindung wird aufgebaut …",
    live: "Live",
    reconnecting: "Verbindung verloren. Neuer Versuch …",
    full: "Alle Plätze sind belegt. Neuer Versuch in {seconds} s",
    offline: "Dieses Gerät ist offline. Warte auf das Netz …",
    failed: "Nicht verfügbar: {reason}. Neuer Versuch in {seconds} s",
    retry: "{reason}. Neuer Versuch in {seconds} s",
    tap: "Gebärden zeigen",
    pause: "Bild anhalten",
    play: "Bild abspielen",
    paused: "Angehalten",
    captionsOn: "Untertitel zeigen",
    captionsOff: "Untertitel ausblenden",
    float: "Bild im Bild",
    fullscreen: "Vollbild",
    omitted: "Nicht gebärdet: weggelassen, wie es die Grammatik der Gebärdensprache tut",
    unspellable: "Nicht gebärdet: keine Gebärde und keine Buchstaben dafür",
    unsupported: "Dieser Browser kann kein Live-Video zeigen (WebRTC fehlt oder ist abgeschaltet)",
  },
  fr: {
    label: "Signes générés par ordinateur",
    labelHelp: "Ce personnage est dessiné par un ordinateur. Il peut se tromper et ne remplace pas un interprète humain.",
    region: "Avatar signant",
    picture: "Personnage signant, généré par ordinateur",
    idle: "Non démarré",
    connecting: "Connexion …",
    live: "En direct",
    reconnecting: "Connexion perdue. Nouvelle tentative …",
    full: "Toutes les places sont prises. Nouvel essai dans {seconds} s",
    offline: "Cet appareil est hors ligne. En attente du réseau …",
    failed: "Indisponible : {reason}. Nouvel essai dans {seconds} s",
    retry: "{reason}. Nouvel essai dans {seconds} s",
    tap: "Afficher les signes",
    pause: "Mettre l’image en pause",
    play: "Lire l’image",
    paused: "En pause",
    captionsOn: "Afficher les sous-titres",
    captionsOff: "Masquer les sous-titres",
    float: "Image dans l’image",
    fullscreen: "Plein écran",
    omitted: "Non signé : omis, comme le fait la grammaire de la langue des signes",
    unspellable: "Non signé : ni signe ni lettres pour cela",
    unsupported: "Ce navigateur ne peut pas afficher de vidéo en direct (WebRTC absent ou désactivé)",
  },
};

/** @param {string} tag @returns {Record<string, string>} */
export function stringsFor(tag) {
  return { ...STRINGS.en, ...STRINGS[tag.toLowerCase().split("-")[0]] };
}

/** @param {string} template @param {Record<string, string | number>} values */
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}
