/** The page of a signed-in user: the image library, the uploads and their views. */

import { Api } from "./api.js";
import { UndoableDeletions } from "./gallery/deletions.js";
import { Library } from "./gallery/library.js";
import { GalleryPage } from "./gallery/page.js";
import { Selection } from "./gallery/selection.js";
import { byId, el } from "./ui/dom.js";
import { icon } from "./ui/icons.js";
import { loadTopic, translate } from "./ui/i18n.js";
import { UploadQueue } from "./uploads/queue.js";
import { openFileChooser } from "./uploads/sources.js";
import { continueUnfinished, forgetUnfinished } from "./uploads/transfer.js";
import { UploadPanel } from "./uploads/upload_panel.js";

const REFRESH_USAGE_AFTER_MS = 1200;

// The gallery itself does not need these modules and messages. They are loaded at the user's first interaction with the
// page, so that they are available when the network is lost later.
const lazyModules = {
  account: () => import("./account/dialog.js"),
  products: () => import("./products/dialog.js"),
  resumable: () => import("./uploads/resumable.js"),
  sharing: () => import("./sharing/dialog.js"),
  viewer: () => import("./viewer/viewer.js"),
};
const lazyTopics = ["account", "products", "sharing"];

/** Dispatches `usage` when the storage usage of the account has changed. */
export class AppShell extends EventTarget {
  usage = null;
  viewer = null;
  /** Cards of unfinished product imports, by job id. An import continues while the dialog is closed. */
  importCards = new Map();
  #usageTimer = 0;
  #didPushState = false;

  constructor(app) {
    super();
    Object.assign(this, { app, session: app.session, config: app.config });
    this.api = new Api(app.session);
    this.library = new Library(this.api);
    this.selection = new Selection();
    this.queue = new UploadQueue(this.api, app.config);
    this.queue.addEventListener("stored", ({ detail }) => this.#addUploaded(detail));
    this.deletions = new UndoableDeletions(this.api, this.library, { onDeleted: () => this.refreshUsageSoon() });
    addEventListener("popstate", () => this.#showRoute());
    for (const name of ["pointermove", "pointerdown", "keydown"]) {
      addEventListener(name, loadLazyModules, { once: true });
    }
    this.refreshUsageSoon(0);
    continueUnfinished(this.queue);
  }

  /** Creates all views, and replaces the existing ones if the language has changed. */
  render() {
    for (const view of [this.page, this.uploadPanel, this.viewer]) view?.remove();
    this.viewer = null;
    this.page = new GalleryPage(this, {
      onOpen: (id) => this.#openImage(id),
      onShare: (ids) => this.#openShareDialog(ids),
    });
    this.uploadPanel = new UploadPanel(this.queue, byId("upload-panel"));
    byId("main").replaceChildren(this.page.element);
    byId("top-bar-actions").replaceChildren(
      this.#button("ean.title", "barcode", () => this.#openProducts()),
      this.#button("upload.camera", "camera", () => openFileChooser(this.queue, { camera: true }), "touch-only"),
      this.#uploadButton(),
      this.#button("account.title", "person", () => this.#openAccount()),
    );
    this.#showRoute();
  }

  /** Sends pending deletions and cancels uploads, while the session still has its tokens. */
  prepareSignOut() {
    this.deletions.flush();
    this.queue.cancelAll();
    forgetUnfinished();
  }

  #addUploaded(view) {
    this.library.put(view);
    const { images, bytes } = this.usage ?? {};
    if (this.usage) this.#setUsage({ ...this.usage, images: images + 1, bytes: bytes + view.size });
    this.refreshUsageSoon();
  }

  #setUsage(usage) {
    this.usage = usage;
    this.dispatchEvent(new Event("usage"));
  }

  async #openProducts() {
    const [{ openProductDialog }] = await Promise.all([lazyModules.products(), loadTopic("products")]);
    openProductDialog(this, { onOpenImage: (id) => this.#openImage(id) });
  }

  async #openAccount() {
    const [{ openAccountDialog }] = await Promise.all([lazyModules.account(), loadTopic("account")]);
    openAccountDialog(this);
  }

  async #openShareDialog(ids) {
    const { openShareDialog } = await lazyModules.sharing();
    await openShareDialog(this, ids);
  }

  #button(name, iconName, onclick, className = "") {
    const label = { "aria-label": translate(name), title: translate(name) };
    return el("button", { type: "button", class: `icon-button ${className}`, ...label, onclick }, icon(iconName));
  }

  #uploadButton() {
    const text = el("span", {}, translate("upload.choose"));
    const label = { "aria-label": translate("upload.choose"), onclick: () => openFileChooser(this.queue) };
    return el("button", { type: "button", class: "primary", ...label }, icon("upload"), text);
  }

  /** Requests the storage usage of the account after a delay; further calls until then have no effect. */
  refreshUsageSoon(delay = REFRESH_USAGE_AFTER_MS) {
    this.#usageTimer ||= setTimeout(async () => {
      this.#usageTimer = 0;
      const account = await this.api.get("auth/me").catch(() => null);
      if (account) this.#setUsage(account.usage);
    }, delay);
  }

  // The URL fragment is the id of the open image: the back button closes the image, and a reload opens it again.

  async #showRoute() {
    const id = location.hash.slice(1);
    if (!id) return this.viewer?.close();
    const { Viewer } = await lazyModules.viewer();
    this.viewer ??= new Viewer({
      ...this,
      onShow: (shownId) => this.#replaceRoute(shownId),
      onShare: (shownId) => this.#openShareDialog([shownId]),
      onClose: (lastId) => this.#leaveRoute(lastId),
    });
    this.viewer.show(id);
  }

  #openImage(id) {
    history.pushState(null, "", `#${id}`);
    this.#didPushState = true;
    this.#showRoute();
  }

  #replaceRoute(id) {
    if (location.hash.slice(1) !== id) history.replaceState(null, "", `#${id}`);
  }

  #leaveRoute(id) {
    if (location.hash && this.#didPushState) history.back();
    else if (location.hash) history.replaceState(null, "", location.pathname);
    this.#didPushState = false;
    this.page.grid.focus(id);
  }
}

function loadLazyModules() {
  for (const load of Object.values(lazyModules)) load().catch(() => {});
  for (const topic of lazyTopics) loadTopic(topic).catch(() => {});
}
