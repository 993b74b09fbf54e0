/** Sends one file: through the service, or straight into the store where it is large. */

import { Problem, problemOf } from "../problems.js";

const DIRECT_FROM_BYTES = 8 * 1024 * 1024;

/**
 * Returns the image view. The same `upload.key` goes with every try, so that an answer that was lost on the way makes
 * no second image.
 */
export async function sendFile(api, upload, options) {
  const isLarge = upload.file.size > Math.min(DIRECT_FROM_BYTES, options.config.max_file_size);
  try {
    return await (isLarge ? sendIntoStore : sendThroughService)(api, upload, options);
  } catch (problem) {
    if (problem.code === "network") await assertReadable(upload.file);
    throw problem;
  }
}

/** To the browser a file that was changed or removed since it was chosen looks like a network that is gone. */
async function assertReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem({ code: "file_unreadable" });
  }
}

async function sendThroughService(api, { file, key }, { signal, onProgress }) {
  const form = new FormData();
  form.append("file", file, file.name);
  const post = async (token) => {
    const headers = { Authorization: `Bearer ${token}`, "Idempotency-Key": key };
    return postForm("api/v1/images/upload", form, { headers, signal, onProgress });
  };
  try {
    return await post(await api.session.token());
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    return post(await api.session.renew());
  }
}

async function sendIntoStore(api, upload, { signal, onProgress, config }) {
  const { file, key } = upload;
  const content_type = file.type || contentType(file.name, config);
  const announced = { filename: file.name, content_type, size: file.size };
  const options = { headers: { "Idempotency-Key": key }, signal };
  const { upload_id: id, url, fields } = await api.post("images/uploads", announced, options);
  if (!upload.hasArrived) await postForm(url, formOf(fields, file), { signal, onProgress });
  upload.hasArrived = true;
  try {
    return await api.post(`images/uploads/${id}/complete`, undefined, { signal });
  } catch (problem) {
    upload.hasArrived = problem.code !== "upload_incomplete";
    throw problem;
  }
}

function formOf(fields, file) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", file, file.name); // last: what comes after the file is ignored
  return form;
}

function contentType(name, { extensions, content_types: types }) {
  const extension = name.split(".").at(-1).toLowerCase().replace("jpg", "jpeg");
  return types.find((type) => type.endsWith(`/${extension}`)) ?? (extensions.includes("jpg") ? "image/jpeg" : types[0]);
}

/** XMLHttpRequest, because fetch tells nothing of how far an upload has come. */
function postForm(url, form, { headers = {}, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    if (signal.aborted) return reject(new Problem({ code: "cancelled" }));
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) resolve(parse(request.responseText));
      else reject(problemOf(request.status, parse(request.responseText), request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(new Problem({ code: "network" }));
    request.onabort = () => reject(new Problem({ code: "cancelled" }));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // S3 answers in XML, or with nothing at all
  }
}
