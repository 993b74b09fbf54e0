/** Panel at the edge of the page that shows the progress of the uploads. */

import { byId, el, moveFocusIfHidden, setStyle } from "../ui/dom.js";
import { formatBytes, formatPercent, formatSpeed, formatTimeLeft } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { isUnfinished, UNFINISHED_STATES } from "./queue.js";

const STATE_ORDER = ["sending", "processing", "failed", "rejected", "waiting", "stored", "canceled"];
const MAX_ROWS = 60;
const UPDATE_EVERY_MS = 100;
const ANNOUNCE_EVERY_MS = 8000;
const AUTO_CLOSE_MS = 6000;

export class UploadPanel {
  #rows = new Map();
  #updateTimer = 0;
  #announcedAt = 0;

  constructor(queue, container) {
    Object.assign(this, { queue, container });
    this.#build();
    const controller = new AbortController();
    const options = { signal: controller.signal };
    queue.addEventListener("changed", () => this.#scheduleUpdate(), options);
    queue.addEventListener("finished", () => this.#scheduleAutoClose(), options);
    this.remove = () => (controller.abort(), container.replaceChildren());
    this.#update();
  }

  #build() {
    this.title = el("h2", {});
    this.subtitle = el("p", { class: "muted" });
    this.meter = el("progress", { class: "meter", max: 1, "aria-label": translate("upload.all") });
    const toggle = { "aria-label": translate("upload.details"), "aria-expanded": "true" };
    this.toggleButton = el(
      "button",
      { type: "button", class: "icon-button", ...toggle, onclick: () => this.#toggle() },
      icon("down"),
    );
    this.cancelAllButton = el(
      "button",
      { type: "button", class: "text-button", onclick: () => this.queue.cancelAll() },
      translate("upload.cancelAll"),
    );
    const retryAll = {
      "aria-label": translate("upload.retryAll"),
      onclick: () => this.queue.retry(...this.queue.retryable),
    };
    this.retryAllButton = el("button", { type: "button", class: "icon-button", ...retryAll }, icon("retry"));
    this.doneButton = el(
      "button",
      { type: "button", class: "text-button", onclick: () => this.queue.removeFinished() },
      translate("done"),
    );
    this.list = el("ul", { class: "uploads", tabindex: "0", "aria-label": translate("upload.files") });
    this.hiddenCount = el("p", { class: "muted hidden-count" });
    this.announcement = el("p", { class: "visually-hidden", role: "status" });
    const actions = el("div", {}, this.cancelAllButton, this.retryAllButton, this.doneButton);
    const header = el("header", {}, this.title, actions, this.toggleButton, this.subtitle);
    const attributes = { class: "upload-panel-card", "aria-label": translate("upload.title") };
    this.card = el("section", attributes, header, this.meter, this.list, this.hiddenCount);
    this.container.replaceChildren(this.card, this.announcement);
  }

  /** Closes the panel after a while if no upload has failed and the user does not point at it or focus it. */
  #scheduleAutoClose() {
    clearTimeout(this.autoCloseTimer);
    this.autoCloseTimer = setTimeout(() => {
      const hasNoFailure = this.queue.uploads.every(({ state }) => state === "stored" || state === "canceled");
      if (hasNoFailure && !this.card.matches(":hover, :focus-within")) this.queue.removeFinished();
    }, AUTO_CLOSE_MS);
  }

  #toggle() {
    const isCollapsed = this.card.classList.toggle("collapsed");
    this.toggleButton.setAttribute("aria-expanded", String(!isCollapsed));
  }

  #scheduleUpdate() {
    this.#updateTimer ||= setTimeout(() => this.#update(), UPDATE_EVERY_MS);
  }

  #update() {
    this.#updateTimer = 0;
    const { uploads, hasUnfinished } = this.queue;
    const focused = document.activeElement;
    this.card.hidden = uploads.length === 0;
    document.documentElement.classList.toggle("has-upload-panel", uploads.length > 0);
    this.title.textContent = this.#titleText();
    this.subtitle.textContent = this.#subtitleText();
    this.cancelAllButton.hidden = !hasUnfinished;
    this.retryAllButton.hidden = hasUnfinished || this.queue.retryable.length < 2;
    this.doneButton.hidden = hasUnfinished;
    for (const button of [this.cancelAllButton, this.retryAllButton, this.doneButton])
      moveFocusIfHidden(focused, button, this.toggleButton);
    moveFocusIfHidden(focused, this.card, byId("main"));
    const { sent, total } = this.queue.byteProgress;
    this.meter.value = total ? sent / total : 0;
    this.meter.hidden = !hasUnfinished;
    this.#updateRows(uploads);
    this.#announce(hasUnfinished);
  }

  #titleText() {
    const { uploads, hasUnfinished, isOffline } = this.queue;
    const count = (...states) => uploads.filter((upload) => states.includes(upload.state)).length;
    if (hasUnfinished && isOffline) return translate("upload.offline");
    const stored = count("stored");
    if (hasUnfinished) {
      return translate("upload.progress", { done: stored, count: count(...UNFINISHED_STATES) + stored });
    }
    const failed = count("failed", "rejected");
    return failed ? translate("upload.someFailed", { count: failed }) : translate("upload.allDone", { count: stored });
  }

  #subtitleText() {
    const { queue } = this;
    if (!queue.hasUnfinished) return "";
    if (queue.isOffline) return translate("upload.offlineDetail");
    const { sent, total } = queue.byteProgress;
    const { bytesPerSecond } = queue.transferRate;
    const amount = translate("upload.sentBytes", { sent: formatBytes(sent), total: formatBytes(total) });
    if (!bytesPerSecond) return amount;
    return [amount, formatSpeed(bytesPerSecond), formatTimeLeft((total - sent) / bytesPerSecond)].join(" · ");
  }

  #updateRows(uploads) {
    const focused = document.activeElement;
    const shown = [...uploads]
      .sort((a, b) => STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state))
      .slice(0, MAX_ROWS);
    for (const [upload, row] of this.#rows) if (!shown.includes(upload)) (row.remove(), this.#rows.delete(upload));
    shown.forEach((upload, index) => {
      if (!this.#rows.has(upload)) this.#rows.set(upload, createRow(upload, this.queue));
      const row = this.#rows.get(upload);
      row.update();
      if (this.list.children[index] !== row) this.list.insertBefore(row, this.list.children[index] ?? null);
    });
    // Moving a row removes the focus from it.
    if (this.list.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
    const hidden = uploads.length - shown.length;
    this.hiddenCount.hidden = hidden === 0;
    this.hiddenCount.textContent = translate("upload.more", { count: hidden });
  }

  /** Screen readers announce the title. While uploads are running, this limits how often. */
  #announce(hasUnfinished) {
    const now = performance.now();
    if (!this.queue.uploads.length || (hasUnfinished && now - this.#announcedAt < ANNOUNCE_EVERY_MS)) return;
    this.#announcedAt = now;
    const text = this.title.textContent;
    if (this.announcement.textContent !== text) this.announcement.textContent = text;
  }
}

function createRow(upload, queue) {
  const status = el("p", { class: "muted" });
  const name = el("p", { class: "item-name", title: upload.file.name }, upload.file.name);
  const ring = el("span", { class: "progress-ring" });
  const meter = el("progress", { class: "visually-hidden", max: 1, "aria-label": upload.file.name });
  const button = el("button", { type: "button", class: "icon-button" });
  const row = el("li", {}, ring, el("div", { class: "item-text" }, name, status, meter), button);
  button.addEventListener("click", () => (isUnfinished(upload) ? queue.cancel(upload) : queue.retry(upload)));
  let shownState = null;
  row.update = () => {
    status.textContent = describeStatus(upload, queue);
    meter.value = upload.progress;
    setStyle(ring, { "--progress": upload.progress.toFixed(3) });
    if (shownState === upload.state) return;
    shownState = row.dataset.state = upload.state;
    const focused = document.activeElement;
    showState(upload, { ring, button, meter });
    moveFocusIfHidden(focused, button, row.parentElement);
  };
  return row;
}

function showState(upload, { ring, button, meter }) {
  const { state, file } = upload;
  const iconName = { stored: "check", failed: "alert", rejected: "alert", canceled: "cross" }[state];
  const thumbnail = state === "stored" && upload.image.thumbnail_url;
  const picture = thumbnail && el("img", { src: thumbnail, alt: "", width: 40, height: 40 });
  ring.replaceChildren(picture || (iconName ? icon(iconName) : ""));
  const canCancel = isUnfinished(upload);
  const canRetry = state === "canceled" || (state === "failed" && upload.canRetry);
  meter.hidden = !canCancel;
  button.hidden = !canCancel && !canRetry;
  const label = translate(canCancel ? "upload.cancelOne" : "upload.retryOne", { name: file.name });
  button.setAttribute("aria-label", label);
  button.replaceChildren(icon(canCancel ? "cross" : "retry"));
}

function describeStatus(upload, queue) {
  const { state, file, message, progress } = upload;
  if (state === "waiting") {
    return queue.isOffline ? translate("upload.waitingForNetwork") : (message ?? translate("upload.waiting"));
  }
  if (state === "sending") return `${formatPercent(progress)} · ${formatBytes(file.size)}`;
  if (state === "processing") return translate("upload.processing");
  if (state === "stored") return formatBytes(file.size);
  return message && state !== "canceled" ? message : translate("upload.canceled");
}
