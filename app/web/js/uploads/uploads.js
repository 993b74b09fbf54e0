/** The user's uploads. The modules that upload are loaded when they are first needed, and files wait here until then. */

import { describeProblem, Problem } from "../problems.js";
import { byId } from "../ui/dom.js";
import { loadTopic, translate } from "../ui/i18n.js";
import { loadStylesheet } from "../ui/stylesheets.js";
import { showToast } from "../ui/toasts.js";

/** The key in localStorage that is set while there may be unfinished uploads to continue after a reload of the page. */
export const UNFINISHED_KEY = "pictures.unfinished";
const TOAST_SECONDS = 30;

export class Uploads {
  #files = [];
  #loading = null;
  #queue = null;
  #Panel = null;
  #panel = null;

  /** Calls `onStored` with the view of each uploaded image. */
  constructor(api, config, { onStored }) {
    Object.assign(this, { api, config, onStored });
    addEventListener("online", () => this.#addWaiting());
    addEventListener("beforeunload", (event) => this.#files.length && event.preventDefault());
  }

  /** Uploads files. While the modules cannot be loaded, the files wait for the network or for the user to try again. */
  async add(files) {
    this.#files.push(...files);
    try {
      await this.load();
    } catch {
      const action = { label: translate("retry"), run: () => this.add([]) };
      showToast(describeProblem(new Problem({ code: "network" })), { kind: "error", action, seconds: TOAST_SECONDS });
      return;
    }
    this.#queue.add(this.#files.splice(0));
  }

  /** Uploads the files that wait, after an attempt to load the modules that began before the network was back. */
  async #addWaiting() {
    await this.#loading?.catch(() => {});
    if (this.#files.length) await this.add([]);
  }

  load() {
    this.#loading ??= this.#load().catch((error) => {
      this.#loading = null;
      throw error;
    });
    return this.#loading;
  }

  async #load() {
    // Some browsers never request a module again whose import has failed, so this checks first that it can be requested.
    const response = await fetch(new URL("./queue.js", import.meta.url), { method: "HEAD" });
    if (!response.ok) throw new Error(`The modules that upload cannot be loaded: ${response.status}`);
    const [{ UploadQueue }, { UploadPanel }] = await Promise.all([
      import("./queue.js"),
      import("./upload_panel.js"),
      loadTopic("uploads"),
      loadStylesheet("uploads"),
    ]);
    this.#queue = new UploadQueue(this.api, this.config);
    this.#queue.addEventListener("stored", ({ detail }) => this.onStored(detail));
    this.#Panel = UploadPanel;
    this.render();
  }

  /** Creates the panel, also after the language has changed. */
  render() {
    this.#panel?.remove();
    if (this.#queue) this.#panel = new this.#Panel(this.#queue, byId("upload-panel"));
  }

  /** Continues the uploads that were unfinished when the page was closed or reloaded. */
  async continueUnfinished() {
    if (!localStorage.getItem(UNFINISHED_KEY)) return;
    try {
      const [{ continueUnfinished }] = await Promise.all([import("./resumable.js"), this.load()]);
      await continueUnfinished(this.#queue);
    } catch {} // The next page continues them.
  }

  /** Cancels all uploads, and removes the files of unfinished ones from the browser. */
  async discardAll() {
    this.#files = [];
    this.#queue?.cancelAll();
    if (!localStorage.getItem(UNFINISHED_KEY)) return;
    const resumable = await import("./resumable.js").catch(() => null); // The next user's page then forgets the files.
    await resumable?.forgetAll();
  }
}
