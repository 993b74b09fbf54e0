/** The page as a whole: somebody is signed in and sees their gallery, or is not and is asked in. */

import { welcome } from "./account/welcome.js";
import { h } from "./parts/dom.js";
import { LANGUAGES, rememberLanguage, t, useLanguage } from "./parts/i18n.js";
import { Session } from "./session.js";

const FAREWELL = "pictures.farewell";
const place = (id) => document.getElementById(id);

export class App {
  desk = null;

  constructor(config) {
    this.config = config;
    this.session = new Session();
    this.session.addEventListener("started", () => this.#enter());
    this.session.addEventListener("ended", () => this.#askToSignInAgain());
    this.session.addEventListener("leaving", () => this.desk?.leave());
    this.session.addEventListener("left", () => this.#beginAnew());
  }

  async start() {
    place("brand-name").textContent = document.title = t("title");
    if (!this.session.isRemembered) return this.#showWelcome();
    const { Desk } = await import("./desk.js");
    this.desk ??= new Desk(this);
    this.desk.draw();
  }

  async #enter() {
    if (this.desk) return; // signed in again: all of it is still there, and goes on
    await this.start();
    place("main").focus({ preventScroll: true });
  }

  async speak(code) {
    rememberLanguage(code);
    await useLanguage(code);
    await this.start();
  }

  /** Signs out and says `words` on the page that follows. */
  leave(words = t("account.signedOut")) {
    sessionStorage.setItem(FAREWELL, words);
    this.session.leave();
  }

  #showWelcome() {
    place("main").replaceChildren(welcome(this.session, { farewell: sessionStorage.getItem(FAREWELL) }));
    place("tools").replaceChildren(this.#languageButton());
    sessionStorage.removeItem(FAREWELL);
  }

  #languageButton() {
    const codes = Object.keys(LANGUAGES);
    const next = codes[(codes.indexOf(document.documentElement.lang) + 1) % codes.length];
    return h(
      "button",
      { type: "button", class: "quiet", lang: next, onclick: () => this.speak(next) },
      LANGUAGES[next],
    );
  }

  async #askToSignInAgain() {
    const { askToSignInAgain } = await import("./account/ended.js");
    this.asking ??= askToSignInAgain(this.session, {
      onOther: () => this.leave(),
      onClose: () => (this.asking = null),
    });
  }

  // Nothing of whoever was signed in stays in memory.
  #beginAnew() {
    location.replace(location.pathname);
  }
}
