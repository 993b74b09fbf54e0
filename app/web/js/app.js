/** The page as a whole: shows the gallery to a user who is signed in, and the welcome page to everyone else. */

import { Session } from "./session.js";
import { byId, el } from "./ui/dom.js";
import { LANGUAGES, loadLanguage, rememberLanguage, translate } from "./ui/i18n.js";

const NOTICE_KEY = "pictures.notice";

export class App {
  shell = null;

  constructor(config) {
    this.config = config;
    this.session = new Session();
    this.session.addEventListener("signedIn", () => this.#showAfterSignIn());
    this.session.addEventListener("expired", () => this.#openSessionExpiredDialog());
    this.session.addEventListener("signingOut", () => this.shell?.prepareSignOut());
    this.session.addEventListener("signedOut", () => this.#reload());
  }

  async start() {
    byId("brand-name").textContent = document.title = translate("title");
    if (!this.session.isRemembered || resetToken()) return this.#showWelcomePage();
    const { AppShell } = await import("./signed_in_app.js");
    this.shell ??= new AppShell(this);
    this.shell.render();
  }

  async #showAfterSignIn() {
    if (this.shell) return; // The user signed in again after the session expired; the page is still complete.
    await this.start();
    byId("main").focus({ preventScroll: true });
  }

  async changeLanguage(code) {
    rememberLanguage(code);
    await loadLanguage(code);
    await this.start();
  }

  /** Signs out and shows `notice` on the welcome page. With a notice, the service has ended the session already. */
  signOut(notice) {
    sessionStorage.setItem(NOTICE_KEY, notice ?? translate("account.signedOut"));
    this.session.signOut({ endSession: !notice && this.config.has_local_accounts });
  }

  async #showWelcomePage() {
    const { createWelcomePage } = await import("./account/welcome.js");
    const page = createWelcomePage(this.session, {
      notice: sessionStorage.getItem(NOTICE_KEY),
      canResetPassword: this.config.can_reset_password,
      resetToken: resetToken(),
      // The sessions of the account have ended, also the one of this browser.
      onPasswordReset: (notice) => this.signOut(notice),
    });
    byId("main").replaceChildren(page);
    byId("top-bar-actions").replaceChildren(this.#languageButton());
    sessionStorage.removeItem(NOTICE_KEY);
    // The gallery loads while the user signs in.
    byId("main").addEventListener("focusin", () => import("./signed_in_app.js").catch(() => {}), { once: true });
  }

  #languageButton() {
    const codes = Object.keys(LANGUAGES);
    const next = codes[(codes.indexOf(document.documentElement.lang) + 1) % codes.length];
    return el(
      "button",
      { type: "button", class: "text-button", lang: next, onclick: () => this.changeLanguage(next) },
      LANGUAGES[next],
    );
  }

  async #openSessionExpiredDialog() {
    const { openSessionExpiredDialog } = await import("./account/session_expired.js");
    this.sessionExpiredDialog ??= openSessionExpiredDialog(this.session, {
      onOtherAccount: () => this.signOut(),
      onClose: () => (this.sessionExpiredDialog = null),
    });
  }

  // Reloading removes all data of the signed-out user from memory.
  #reload() {
    location.replace(location.pathname);
  }
}

/** Returns the token of a link to reset a password. It is in the fragment, which browsers do not send to servers. */
const resetToken = () => new URLSearchParams(location.hash.slice(1)).get("reset");
