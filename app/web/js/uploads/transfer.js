/** Uploads one file: in one request, or with a resumable upload if the file is large. */

import { Problem } from "../problems.js";

/** The key in localStorage that is set while there may be unfinished uploads to continue after a reload of the page. */
export const UNFINISHED_KEY = "pictures.unfinished";

// Most users upload no large files.
const loadResumable = () => import("./resumable.js");

/**
 * Returns the image view. A retry after a lost response does not create a second image, because every attempt sends
 * `upload.idempotencyKey`, or continues the same resumable upload.
 */
export async function uploadFile(api, upload, options) {
  const isLarge = upload.file.size > options.config.resumable_upload_from;
  try {
    return await (isLarge ? uploadResumably : uploadAtOnce)(api, upload, options);
  } catch (problem) {
    if (problem.code === "network") await assertReadable(upload.file);
    throw problem;
  }
}

/** Adds the uploads to the queue that were unfinished when the page was closed or reloaded. */
export async function continueUnfinished(queue) {
  if (localStorage.getItem(UNFINISHED_KEY)) await (await loadResumable()).continueUnfinished(queue);
}

/** Removes the files of unfinished uploads from the browser. */
export async function forgetUnfinished() {
  if (localStorage.getItem(UNFINISHED_KEY)) await (await loadResumable()).forgetAll();
}

/** The browser reports a network error for a file that was changed or removed after it was chosen. */
async function assertReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem({ code: "file_unreadable" });
  }
}

async function uploadAtOnce(api, { file, idempotencyKey }, { signal, onProgress }) {
  const form = new FormData();
  form.append("file", file, file.name);
  const headers = { "Idempotency-Key": idempotencyKey };
  return api.send("POST", "images/upload", form, { headers, signal, onProgress });
}

async function uploadResumably(api, upload, options) {
  const { ResumableUpload } = await loadResumable();
  upload.resumable ??= new ResumableUpload(api, upload.file);
  return upload.resumable.upload(options);
}
