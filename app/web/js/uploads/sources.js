/** Where files come from: dropped (folders too), pasted, chosen, or taken with the camera. */

import { h } from "../parts/dom.js";
import { t } from "../parts/i18n.js";
import { acceptable } from "./checks.js";

/** Opens the browser's chooser, or the camera of a phone. */
export function chooseFiles(queue, { camera = false } = {}) {
  const input = h("input", {
    type: "file",
    class: "hidden",
    multiple: !camera,
    accept: camera ? "image/*" : acceptable(queue.config),
    capture: camera && "environment",
  });
  input.addEventListener("change", () => (queue.add([...input.files]), input.remove()));
  input.addEventListener("cancel", () => input.remove());
  document.body.append(input); // Safari forgets inputs that are not in the page
  input.click();
}

/** Takes what is dropped anywhere on the page or pasted into it. Returns a function that stops that. */
export function acceptDropsAndPastes(queue) {
  const veil = h("div", { class: "veil", hidden: true }, h("p", {}, t("upload.dropHere")));
  document.body.append(veil);
  const controller = new AbortController();
  const listen = (name, handler) => addEventListener(name, handler, { signal: controller.signal });
  listen("dragover", (event) => hasFiles(event) && (event.preventDefault(), (veil.hidden = false)));
  listen("dragleave", (event) => event.relatedTarget === null && (veil.hidden = true));
  listen("drop", async (event) => {
    veil.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    queue.add(await droppedFiles(event.dataTransfer));
  });
  listen("paste", ({ clipboardData: { files }, target }) => {
    // What is copied from a spreadsheet is text and a picture of it: in a field the text is meant.
    if (files.length && !target.closest?.("input, textarea")) queue.add([...files]);
  });
  return () => (controller.abort(), veil.remove());
}

const hasFiles = (event) => event.dataTransfer.types.includes("Files");

async function droppedFiles(transfer) {
  // The list of items is emptied as soon as this event is over: the entries have to be taken out at once.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A directory is read in batches of a hundred, until an empty one comes.
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return found;
    found.push(...(await Promise.all(batch.map(filesIn))).flat());
  }
}
