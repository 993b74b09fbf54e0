/** The page of a signed-in user: the image library, the uploads and their views. */

import { Api } from "./api.js";
import { UndoableDeletions } from "./gallery/deletions.js";
import { Library } from "./gallery/library.js";
import { GalleryPage } from "./gallery/page.js";
import { Selection } from "./gallery/selection.js";
import { byId, el } from "./ui/dom.js";
import { icon } from "./ui/icons.js";
import { loadTopic, translate } from "./ui/i18n.js";
import { loadStylesheet } from "./ui/stylesheets.js";
import { openFileChooser } from "./uploads/sources.js";
import { Uploads } from "./uploads/uploads.js";

const REFRESH_USAGE_AFTER_MS = 1200;

// The gallery itself does not need these views, nor what uploads. They are loaded at the user's first interaction with the
// page, so that they are available when the network is lost later.
const lazyViews = {
  account: { load: () => import("./account/dialog.js"), styles: ["dialogs"] },
  products: { load: () => import("./products/dialog.js"), styles: ["dialogs"] },
  sharing: { load: () => import("./sharing/dialog.js"), styles: ["dialogs", "sharing"] },
  viewer: { load: () => import("./viewer/viewer.js"), styles: ["viewer"] },
};

/** Returns the module of a view after its messages and styles are loaded. */
async function loadView(name) {
  const { load, styles } = lazyViews[name];
  const [module] = await Promise.all([load(), loadTopic(name), ...styles.map(loadStylesheet)]);
  return module;
}

/** Dispatches `usage` when the storage usage of the account has changed. */
export class AppShell extends EventTarget {
  usage = null;
  viewer = null;
  /** Cards of unfinished product imports, by job id. An import continues while the dialog is closed. */
  importCards = new Map();
  #usageTimer = 0;
  /** Whether images were deleted whose months are not known. */
  #isLibraryStale = false;
  #didPushState = false;

  constructor(app) {
    super();
    Object.assign(this, { app, session: app.session, config: app.config });
    this.api = new Api(app.session);
    this.library = new Library(this.api);
    this.selection = new Selection();
    this.uploads = new Uploads(this.api, app.config, { onStored: (view) => this.#addUploaded(view) });
    this.deletions = new UndoableDeletions(this.api, this.library, { onDeleted: (ids) => this.removeDeleted(ids) });
    this.library.addEventListener("removed", ({ detail }) => this.selection.forget(detail));
    this.#followOtherTabs();
    addEventListener("popstate", () => this.#showRoute());
    // Another device may have added or deleted images in the meantime.
    document.addEventListener("visibilitychange", () => document.hidden || this.refreshUsageSoon(0));
    addEventListener("focus", () => this.refreshUsageSoon(0));
    if (navigator.userActivation?.hasBeenActive) this.#loadLazyModules(); // The user has just signed in.
    for (const name of ["pointermove", "pointerdown", "keydown"]) {
      addEventListener(name, () => this.#loadLazyModules(), { once: true });
    }
    this.refreshUsageSoon(0);
    this.started = this.library.start();
    this.uploads.continueUnfinished();
  }

  /** Creates all views, and replaces the existing ones if the language has changed. */
  render() {
    for (const view of [this.page, this.viewer]) view?.remove();
    this.viewer = null;
    this.page = new GalleryPage(this, {
      onOpen: (id) => this.#openImage(id),
      onShare: (ids) => this.#openShareDialog(ids),
    });
    this.uploads.render();
    byId("main").replaceChildren(this.page.element);
    byId("top-bar-actions").replaceChildren(
      this.#button("ean.title", "barcode", () => this.#openProducts()),
      this.#button("upload.camera", "camera", () => openFileChooser(this.uploads, { camera: true }), "touch-only"),
      this.#uploadButton(),
      this.#button("account.title", "person", () => this.#openAccount()),
    );
    this.#showRoute();
  }

  /** Sends pending deletions and cancels uploads, while the session still has its tokens. */
  prepareSignOut() {
    this.deletions.flush();
    this.uploads.discardAll();
  }

  #addUploaded(view, { isFromOtherTab = false } = {}) {
    if (!isFromOtherTab) this.tabs.postMessage({ email: this.session.email, uploaded: view });
    this.library.add(view);
    this.#changeUsage({ images: 1, bytes: view.size });
  }

  /** Removes images that were deleted from the page, also in the other tabs of the browser. */
  removeDeleted(ids, { isFromOtherTab = false } = {}) {
    if (!ids.length) return;
    if (!isFromOtherTab) this.tabs.postMessage({ email: this.session.email, deleted: ids });
    const { unknown, bytes } = this.library.remove(ids);
    this.#isLibraryStale ||= unknown > 0;
    this.#changeUsage({ images: -ids.length, bytes: -bytes });
  }

  #followOtherTabs() {
    this.tabs = new BroadcastChannel("pictures.images");
    this.tabs.addEventListener("message", ({ data: { email, uploaded, deleted = [] } }) => {
      if (email !== this.session.email) return;
      if (uploaded) this.#addUploaded(uploaded, { isFromOtherTab: true });
      this.removeDeleted(deleted, { isFromOtherTab: true });
    });
  }

  #changeUsage({ images, bytes }) {
    const { usage } = this;
    if (usage) this.#setUsage({ ...usage, images: usage.images + images, bytes: usage.bytes + bytes });
    this.refreshUsageSoon();
  }

  #setUsage(usage) {
    this.usage = usage;
    this.dispatchEvent(new Event("usage"));
  }

  async #openProducts() {
    const { openProductDialog } = await loadView("products");
    openProductDialog(this, { onOpenImage: (id) => this.#openImage(id) });
  }

  async #openAccount() {
    const { openAccountDialog } = await loadView("account");
    openAccountDialog(this);
  }

  async #openShareDialog(ids) {
    const { openShareDialog } = await loadView("sharing");
    openShareDialog(this, ids);
  }

  #button(name, iconName, onclick, className = "") {
    const label = { "aria-label": translate(name), title: translate(name) };
    return el("button", { type: "button", class: `icon-button ${className}`, ...label, onclick }, icon(iconName));
  }

  #uploadButton() {
    const text = el("span", {}, translate("upload.choose"));
    const label = { "aria-label": translate("upload.choose"), onclick: () => openFileChooser(this.uploads) };
    return el("button", { type: "button", class: "primary", ...label }, icon("upload"), text);
  }

  /**
   * Requests the storage usage of the account after a delay; further calls until then have no effect. If the usage is
   * not the expected one, something else has added or deleted images, and the library is refreshed.
   */
  refreshUsageSoon(delay = REFRESH_USAGE_AFTER_MS) {
    this.#usageTimer ||= setTimeout(async () => {
      this.#usageTimer = 0;
      const expected = this.usage;
      const account = await this.api.get("auth/me").catch(() => null);
      if (!account) return;
      const { images, bytes } = account.usage;
      const isExpected = !expected || (expected.images === images && expected.bytes === bytes);
      this.#setUsage(account.usage);
      if (!expected) this.#checkTimeline();
      if (isExpected && !this.#isLibraryStale) return;
      this.#isLibraryStale = false;
      this.library.refresh().catch(() => {});
    }, delay);
  }

  // With DynamoDB, images of an earlier version are in the timeline only after an operator has run `app rerender`.
  async #checkTimeline() {
    await this.started;
    const { library } = this;
    const isIncomplete = () =>
      library.isLoaded && library.sort === "taken_at" && library.count + library.hidden.images < this.usage.images;
    if (isIncomplete()) await library.refresh().catch(() => {});
    if (isIncomplete()) library.setSort("uploaded_at", { isRemembered: false });
  }

  // The URL fragment is the id of the open image: the back button closes the image, and a reload opens it again.

  async #showRoute() {
    const id = location.hash.slice(1);
    if (!id) return this.viewer?.close();
    const { Viewer } = await loadView("viewer");
    this.viewer ??= new Viewer({
      ...this,
      onShow: (shownId) => this.#showInRoute(shownId),
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

  #showInRoute(id) {
    this.library.loadAround(id);
    if (location.hash.slice(1) !== id) history.replaceState(null, "", `#${id}`);
  }

  #leaveRoute(id) {
    if (location.hash && this.#didPushState) history.back();
    else if (location.hash) history.replaceState(null, "", location.pathname);
    this.#didPushState = false;
    this.page.grid.focus(id);
  }

  #loadLazyModules() {
    const resumable = import("./uploads/resumable.js");
    const views = Object.keys(lazyViews).map(loadView);
    for (const loading of [this.uploads.load(), resumable, ...views]) loading.catch(() => {});
  }
}
