/** Uploads files that the user selects: dropped files and folders, pasted files, chosen files and photos from the camera. */

import { el } from "../ui/dom.js";
import { translate } from "../ui/i18n.js";

/** Opens the browser's file chooser, or the camera of a phone. */
export function openFileChooser(uploads, { camera = false } = {}) {
  const input = el("input", {
    type: "file",
    class: "hidden",
    multiple: !camera,
    accept: camera ? "image/*" : acceptAttribute(uploads.config),
    capture: camera && "environment",
  });
  input.addEventListener("change", () => (uploads.add([...input.files]), input.remove()));
  input.addEventListener("cancel", () => input.remove());
  document.body.append(input); // Safari discards inputs that are not in the document.
  input.click();
}

const acceptAttribute = ({ extensions, content_types: types }) =>
  [...types, ...extensions.map((extension) => `.${extension}`)].join();

/** Uploads files that are dropped or pasted anywhere on the page. Returns a function that stops this. */
export function acceptDropsAndPastes(uploads) {
  const overlay = el("div", { class: "drop-overlay", hidden: true }, el("p", {}, translate("upload.dropHere")));
  document.body.append(overlay);
  const controller = new AbortController();
  const listen = (name, handler) => addEventListener(name, handler, { signal: controller.signal });
  listen("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (overlay.hidden) uploads.load().catch(() => {});
    overlay.hidden = false;
  });
  listen("dragleave", (event) => event.relatedTarget === null && (overlay.hidden = true));
  listen("drop", async (event) => {
    overlay.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    uploads.add(await droppedFiles(event.dataTransfer));
  });
  listen("paste", ({ clipboardData: { files }, target }) => {
    // Spreadsheets copy cells both as text and as a picture. In a text field, the user wants the text.
    if (files.length && !target.closest?.("input, textarea")) uploads.add([...files]);
  });
  return () => (controller.abort(), overlay.remove());
}

const hasFiles = (event) => event.dataTransfer.types.includes("Files");

async function droppedFiles(transfer) {
  // The browser clears the items after the event handler's first `await`, so all entries are read before it.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    // The browser returns the entries of a directory in batches of up to 100. An empty batch is the last one.
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return files;
    files.push(...(await Promise.all(batch.map(filesIn))).flat());
  }
}
