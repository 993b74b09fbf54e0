/** The tray at the edge of the page that shows how the uploads are doing. */

import { h, passFocus, style } from "../parts/dom.js";
import { bytes, percent, speed, timeLeft } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { t } from "../parts/i18n.js";
import { OPEN } from "./queue.js";

const ORDER = ["sending", "checking", "failed", "refused", "waiting", "stored", "cancelled"];
const MOST_ROWS = 60;
const REFRESH_EVERY_MS = 100;
const SAY_EVERY_MS = 8000;
const STAY_MS = 6000;

export class Tray {
  #rows = new Map();
  #refreshing = 0;
  #saidAt = 0;

  constructor(queue, place) {
    Object.assign(this, { queue, place });
    this.#build();
    const controller = new AbortController();
    const options = { signal: controller.signal };
    queue.addEventListener("changed", () => this.#refreshSoon(), options);
    queue.addEventListener("settled", () => this.#leaveSoon(), options);
    this.remove = () => (controller.abort(), place.replaceChildren());
    this.#refresh();
  }

  #build() {
    this.title = h("h2", {});
    this.detail = h("p", { class: "muted" });
    this.meter = h("progress", { class: "meter", max: 1, "aria-label": t("upload.all") });
    const fold = { "aria-label": t("upload.details"), "aria-expanded": "true", onclick: () => this.#toggle() };
    this.fold = h("button", { type: "button", class: "round", ...fold }, icon("down"));
    this.stop = h(
      "button",
      { type: "button", class: "quiet", onclick: () => this.queue.cancelAll() },
      t("upload.cancelAll"),
    );
    const again = { "aria-label": t("upload.retryAll"), onclick: () => this.queue.retry(...this.queue.retryable) };
    this.again = h("button", { type: "button", class: "round", ...again }, icon("redo"));
    this.done = h("button", { type: "button", class: "quiet", onclick: () => this.queue.clear() }, t("done"));
    this.list = h("ul", { class: "uploads", tabindex: "0", "aria-label": t("upload.files") });
    this.rest = h("p", { class: "muted more" });
    this.spoken = h("p", { class: "spoken", role: "status" });
    const actions = h("div", {}, this.stop, this.again, this.done);
    const head = h("header", {}, this.title, actions, this.fold, this.detail);
    this.panel = h(
      "section",
      { class: "tray-panel", "aria-label": t("upload.title") },
      head,
      this.meter,
      this.list,
      this.rest,
    );
    this.place.replaceChildren(this.panel, this.spoken);
  }

  /** Goes by itself after a while where everything went well and nobody is looking at it. */
  #leaveSoon() {
    clearTimeout(this.leaving);
    this.leaving = setTimeout(() => {
      const isGood = this.queue.uploads.every(({ state }) => state === "stored" || state === "cancelled");
      if (isGood && !this.panel.matches(":hover, :focus-within")) this.queue.clear();
    }, STAY_MS);
  }

  #toggle() {
    const isFolded = this.panel.classList.toggle("folded");
    this.fold.setAttribute("aria-expanded", String(!isFolded));
  }

  #refreshSoon() {
    this.#refreshing ||= setTimeout(() => this.#refresh(), REFRESH_EVERY_MS);
  }

  #refresh() {
    this.#refreshing = 0;
    const { uploads, isOpen } = this.queue;
    const focused = document.activeElement;
    this.panel.hidden = uploads.length === 0;
    document.documentElement.classList.toggle("has-tray", uploads.length > 0);
    this.title.textContent = this.#headline();
    this.detail.textContent = this.#detail();
    this.stop.hidden = !isOpen;
    this.again.hidden = isOpen || this.queue.retryable.length < 2;
    this.done.hidden = isOpen;
    for (const button of [this.stop, this.again, this.done]) passFocus(focused, button, this.fold);
    passFocus(focused, this.panel, document.getElementById("main"));
    const { sent, total } = this.queue.extent;
    this.meter.value = total ? sent / total : 0;
    this.meter.hidden = !isOpen;
    this.#refreshRows(uploads);
    this.#say(isOpen);
  }

  #headline() {
    const { uploads, isOpen, isOffline } = this.queue;
    const count = (...states) => uploads.filter((upload) => states.includes(upload.state)).length;
    if (isOpen && isOffline) return t("upload.offline");
    if (isOpen) return t("upload.progress", { done: count("stored"), count: count(...OPEN, "stored") });
    const wrong = count("failed", "refused");
    return wrong ? t("upload.someFailed", { count: wrong }) : t("upload.allDone", { count: count("stored") });
  }

  #detail() {
    const { queue } = this;
    if (!queue.isOpen) return "";
    if (queue.isOffline) return t("upload.offlineDetail");
    const { sent, total } = queue.extent;
    const rate = queue.rate.perSecond;
    const so = t("upload.extent", { sent: bytes(sent), total: bytes(total) });
    return rate ? [so, speed(rate), timeLeft((total - sent) / rate)].join(" · ") : so;
  }

  #refreshRows(uploads) {
    const focused = document.activeElement;
    const sorted = [...uploads].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state)).slice(0, MOST_ROWS);
    for (const [upload, row] of this.#rows) if (!sorted.includes(upload)) (row.remove(), this.#rows.delete(upload));
    sorted.forEach((upload, index) => {
      if (!this.#rows.has(upload)) this.#rows.set(upload, uploadRow(upload, this.queue));
      const row = this.#rows.get(upload);
      row.refresh();
      if (this.list.children[index] !== row) this.list.insertBefore(row, this.list.children[index] ?? null);
    });
    // A row that moves loses the focus.
    if (this.list.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
    const hidden = uploads.length - sorted.length;
    this.rest.hidden = hidden === 0;
    this.rest.textContent = t("upload.more", { count: hidden });
  }

  /** Screen readers hear of it now and then, not with every byte. */
  #say(isOpen) {
    const now = performance.now();
    if (!this.queue.uploads.length || (isOpen && now - this.#saidAt < SAY_EVERY_MS)) return;
    this.#saidAt = now;
    if (this.spoken.textContent !== this.title.textContent) this.spoken.textContent = this.title.textContent;
  }
}

function uploadRow(upload, queue) {
  const words = h("p", { class: "muted" });
  const name = h("p", { class: "name", title: upload.file.name }, upload.file.name);
  const ring = h("span", { class: "ring" });
  const meter = h("progress", { class: "spoken", max: 1, "aria-label": upload.file.name });
  const button = h("button", { type: "button", class: "round" });
  const row = h("li", {}, ring, h("div", { class: "words" }, name, words, meter), button);
  button.addEventListener("click", () => (OPEN.includes(upload.state) ? queue.cancel(upload) : queue.retry(upload)));
  let shown = null;
  row.refresh = () => {
    words.textContent = rowWords(upload, queue);
    meter.value = upload.progress;
    style(ring, { "--progress": upload.progress.toFixed(3) });
    if (shown === upload.state) return;
    shown = row.dataset.state = upload.state;
    const focused = document.activeElement;
    dressRow(upload, { ring, button, meter });
    passFocus(focused, button, row.parentElement);
  };
  return row;
}

function dressRow(upload, { ring, button, meter }) {
  const { state, file } = upload;
  const mark = { stored: "check", failed: "alert", refused: "alert", cancelled: "cross" }[state];
  const thumbnail = state === "stored" && upload.image.thumbnail_url;
  const picture = thumbnail && h("img", { src: thumbnail, alt: "", width: 40, height: 40 });
  ring.replaceChildren(picture || (mark ? icon(mark) : ""));
  const isOpen = OPEN.includes(state);
  const canRetry = state === "cancelled" || (state === "failed" && upload.mayRetry);
  meter.hidden = !isOpen;
  button.hidden = !isOpen && !canRetry;
  button.setAttribute("aria-label", t(isOpen ? "upload.cancelOne" : "upload.retryOne", { name: file.name }));
  button.replaceChildren(icon(isOpen ? "cross" : "redo"));
}

function rowWords(upload, queue) {
  const { state, file, words, progress } = upload;
  if (state === "waiting") return queue.isOffline ? t("upload.waitingForNetwork") : (words ?? t("upload.waiting"));
  if (state === "sending") return `${percent(progress)} · ${bytes(file.size)}`;
  if (state === "checking") return t("upload.checking");
  if (state === "stored") return bytes(file.size);
  return words && state !== "cancelled" ? words : t("upload.cancelled");
}
