/** Uploads one file: through the service, or directly to the object store if the file is large. */

import { Problem, problemFromResponse } from "../problems.js";

/**
 * Returns the image view. Every attempt sends `upload.idempotencyKey`, so that a retry after a lost response does not
 * create a second image.
 */
export async function uploadFile(api, upload, options) {
  const isLarge = upload.file.size > options.config.direct_upload_from;
  try {
    return await (isLarge ? uploadToStore : uploadToService)(api, upload, options);
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

async function uploadToService(api, { file, idempotencyKey }, { signal, onProgress }) {
  const form = new FormData();
  form.append("file", file, file.name);
  const post = async (token) => {
    const headers = { Authorization: `Bearer ${token}`, "Idempotency-Key": idempotencyKey };
    return postForm("api/v1/images/upload", form, { headers, signal, onProgress });
  };
  try {
    return await post(await api.session.token());
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    return post(await api.session.renew());
  }
}

async function uploadToStore(api, upload, { signal, onProgress, config }) {
  const { file, idempotencyKey } = upload;
  const content_type = file.type || contentTypeFor(file.name, config);
  const intent = { filename: file.name, content_type, size: file.size };
  const options = { headers: { "Idempotency-Key": idempotencyKey }, signal };
  const { upload_id: id, url, fields } = await api.post("images/uploads", intent, options);
  if (!upload.isInStore) await postForm(url, createForm(fields, file), { signal, onProgress });
  upload.isInStore = true;
  try {
    return await api.post(`images/uploads/${id}/complete`, undefined, { signal });
  } catch (problem) {
    upload.isInStore = problem.code !== "upload_incomplete";
    throw problem;
  }
}

function createForm(fields, file) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", file, file.name); // The file must be last: S3 ignores all fields after it.
  return form;
}

function contentTypeFor(name, { extensions, content_types: types }) {
  const extension = name.split(".").at(-1).toLowerCase().replace("jpg", "jpeg");
  return types.find((type) => type.endsWith(`/${extension}`)) ?? (extensions.includes("jpg") ? "image/jpeg" : types[0]);
}

/** Uses XMLHttpRequest, because fetch does not report upload progress. */
function postForm(url, form, { headers = {}, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    if (signal.aborted) return reject(new Problem({ code: "canceled" }));
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      const body = parseJson(request.responseText);
      if (request.status < 300) resolve(body);
      else reject(problemFromResponse(request.status, body, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(new Problem({ code: "network" }));
    request.onabort = () => reject(new Problem({ code: "canceled" }));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // S3 sends XML or an empty body.
  }
}
