/** What somebody has who is signed in: their library, the uploads, and the views of both. */

import { Api } from "./api.js";
import { Deletions } from "./gallery/deletions.js";
import { Library } from "./gallery/library.js";
import { GalleryPage } from "./gallery/page.js";
import { Selection } from "./gallery/selection.js";
import { h } from "./parts/dom.js";
import { icon } from "./parts/icons.js";
import { t } from "./parts/i18n.js";
import { UploadQueue } from "./uploads/queue.js";
import { chooseFiles } from "./uploads/sources.js";
import { Tray } from "./uploads/tray.js";

const COUNT_AGAIN_MS = 1200;
const place = (id) => document.getElementById(id);

// What is not needed to see the gallery is fetched when somebody begins to do something on the page.
const later = {
  account: () => import("./account/dialog.js"),
  products: () => import("./products/dialog.js"),
  viewer: () => import("./viewer/viewer.js"),
};

/** Events: `usage` (what the account uses has been counted again). */
export class Desk extends EventTarget {
  usage = null;
  viewer = null;
  /** Cards of what is being fetched, by job: it goes on while the dialog is closed. */
  imports = new Map();
  #counting = 0;
  #didPush = false;

  constructor(app) {
    super();
    Object.assign(this, { app, session: app.session, config: app.config });
    this.api = new Api(app.session);
    this.library = new Library(this.api);
    this.selection = new Selection();
    this.queue = new UploadQueue(this.api, app.config);
    this.queue.addEventListener("stored", ({ detail }) => this.#take(detail));
    this.deletions = new Deletions(this.api, this.library, { onDeleted: () => this.countSoon() });
    addEventListener("popstate", () => this.#route());
    for (const name of ["pointermove", "pointerdown", "keydown"]) addEventListener(name, warmUp, { once: true });
    this.countSoon(0);
  }

  /** Makes all that is made of words; again where the language has changed. */
  draw() {
    for (const view of [this.page, this.tray, this.viewer]) view?.remove();
    this.viewer = null;
    this.page = new GalleryPage(this, { onOpen: (id) => this.#open(id) });
    this.tray = new Tray(this.queue, place("tray"));
    place("main").replaceChildren(this.page.element);
    place("tools").replaceChildren(
      this.#button("ean.title", "barcode", () => this.#openProducts()),
      this.#button("upload.camera", "camera", () => chooseFiles(this.queue, { camera: true }), "touch-only"),
      this.#uploadButton(),
      this.#button("account.title", "person", () => this.#openAccount()),
    );
    this.#route();
  }

  /** Finishes what can still be finished before the tokens are gone. */
  leave() {
    this.deletions.sendLast();
    this.queue.cancelAll();
  }

  #take(view) {
    this.library.put(view);
    const { images, bytes } = this.usage ?? {};
    if (this.usage) this.#setUsage({ ...this.usage, images: images + 1, bytes: bytes + view.size });
    this.countSoon();
  }

  #setUsage(usage) {
    this.usage = usage;
    this.dispatchEvent(new Event("usage"));
  }

  async #openProducts() {
    const { openProducts } = await later.products();
    openProducts(this, { onImage: (id) => this.#open(id) });
  }

  async #openAccount() {
    const { openAccount } = await later.account();
    openAccount(this);
  }

  #button(name, symbol, onclick, more = "") {
    const label = { "aria-label": t(name), title: t(name) };
    return h("button", { type: "button", class: `round ${more}`, ...label, onclick }, icon(symbol));
  }

  #uploadButton() {
    const words = h("span", {}, t("upload.choose"));
    const label = { "aria-label": t("upload.choose"), onclick: () => chooseFiles(this.queue) };
    return h("button", { type: "button", class: "primary", ...label }, icon("upload"), words);
  }

  /** Has what the account uses counted again, after a burst of changes once. */
  countSoon(after = COUNT_AGAIN_MS) {
    this.#counting ||= setTimeout(async () => {
      this.#counting = 0;
      const me = await this.api.get("auth/me").catch(() => null);
      if (me) this.#setUsage(me.usage);
    }, after);
  }

  // The address names the image that is shown: the back key of a phone closes it, and a reload opens it again.

  async #route() {
    const id = location.hash.slice(1);
    if (!id) return this.viewer?.close();
    const { Viewer } = await later.viewer();
    this.viewer ??= new Viewer({ ...this, onMove: (now) => this.#moved(now), onClose: (last) => this.#closed(last) });
    this.viewer.show(id);
  }

  #open(id) {
    history.pushState(null, "", `#${id}`);
    this.#didPush = true;
    this.#route();
  }

  #moved(id) {
    if (location.hash.slice(1) !== id) history.replaceState(null, "", `#${id}`);
  }

  #closed(id) {
    if (location.hash && this.#didPush) history.back();
    else if (location.hash) history.replaceState(null, "", location.pathname);
    this.#didPush = false;
    this.page.grid.focus(id);
  }
}

function warmUp() {
  for (const fetchModule of Object.values(later)) fetchModule().catch(() => {});
}
