/** Uploads one file: in one request, or with a resumable upload if the file is large. */

import { Problem } from "../problems.js";

async function loadResumable() {
  try {
    return await import("./resumable.js");
  } catch {
    throw new Problem({ code: "network" });
  }
}

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
