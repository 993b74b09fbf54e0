/**
 * Upload components that many apps use, on a page of another origin: with their default settings, but for the error texts
 * of Uppy's xhr-upload and of FilePond, which show the response only with the settings that docs/api.md describes.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { launch, noChromium } from "./browser.mjs";
import { BACKENDS, freePort, startService } from "./service.mjs";

const SCRIPTS = {
  "uppy-4": "uppy-4/dist/uppy.min.js",
  "uppy-6": "uppy-6/dist/uppy.min.js",
  filepond: "filepond/dist/filepond.min.js",
  dropzone: "dropzone/dist/dropzone-min.js",
};

/** Each function runs in the page. It uploads `file` and returns the progress events and the error text, or null. */
const UPLOADERS = {
  "Uppy xhr-upload 4": { script: "uppy-4", upload: uploadWithUppyXhr },
  "Uppy xhr-upload 6": { script: "uppy-6", upload: uploadWithUppyXhr },
  "Uppy aws-s3 4": { script: "uppy-4", upload: uploadWithUppyS3, isDirect: true },
  "Uppy aws-s3 6": { script: "uppy-6", upload: uploadWithUppyS3, isDirect: true },
  FilePond: { script: "filepond", upload: uploadWithFilePond },
  Dropzone: { script: "dropzone", upload: uploadWithDropzone },
};

async function uploadWithUppyXhr(file, { url, token }) {
  const uppy = new globalThis.Uppy.Uppy();
  uppy.use(globalThis.Uppy.XHRUpload, {
    endpoint: `${url}api/v1/images/upload`,
    headers: { authorization: `Bearer ${token}` },
    onAfterResponse: (xhr) => {
      if (xhr.status >= 400) throw new Error(JSON.parse(xhr.responseText).detail);
    },
  });
  return globalThis.uploadWithUppy(uppy, file);
}

async function uploadWithUppyS3(file, { url, token }) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const call = async (path, body) => {
    const response = await fetch(`${url}api/v1/images/uploads${path}`, { method: "POST", headers, body });
    const result = await response.json();
    if (!response.ok) throw new Error(result.detail);
    return result;
  };
  let upload;
  const initiate = async () => {
    upload = await call("", JSON.stringify({ filename: file.name, content_type: file.type, size: file.size }));
    return upload;
  };
  const uppy = new globalThis.Uppy.Uppy();
  uppy.use(globalThis.Uppy.AwsS3, {
    // Version 4 sends the form, version 6 a PUT.
    getUploadParameters: async () => ({ method: "POST", ...(await initiate()) }),
    signRequest: async () => ({ url: (await initiate()).put_url }),
  });
  const result = await globalThis.uploadWithUppy(uppy, file);
  if (!result.error) await call(`/${upload.upload_id}/complete`).catch((error) => (result.error = error.message));
  return result;
}

async function uploadWithFilePond(file, { url, token }) {
  const input = document.body.appendChild(document.createElement("input"));
  Object.assign(input, { type: "file", name: "file" });
  const pond = globalThis.FilePond.create(input, {
    server: {
      url: `${url}api/v1/images/`,
      process: {
        url: "upload",
        headers: { Authorization: `Bearer ${token}` },
        onerror: (response) => JSON.parse(response).detail,
      },
    },
    labelFileProcessingError: (error) => error.body,
  });
  const progress = [];
  pond.on("processfileprogress", (_file, share) => progress.push(share));
  const completed = new Promise((resolve) => {
    pond.on("processfile", (error) => resolve(error));
    pond.on("error", (error) => resolve(error));
  });
  await pond.addFile(file); // The upload starts by itself.
  const failed = await completed;
  const label = () => document.querySelector(".filepond--file-status-main").textContent;
  while (failed && label() !== failed.body) await new Promise((resolve) => setTimeout(resolve, 50));
  const error = failed ? label() : null;
  return { progress, error };
}

async function uploadWithDropzone(file, { url, token }) {
  const form = document.body.appendChild(document.createElement("form"));
  form.className = "dropzone";
  const dropzone = new globalThis.Dropzone(form, {
    url: `${url}api/v1/images/upload`,
    headers: { Authorization: `Bearer ${token}` },
  });
  const progress = [];
  dropzone.on("uploadprogress", (_file, percent) => progress.push(percent));
  const completed = new Promise((resolve) => dropzone.on("complete", resolve));
  dropzone.addFile(file);
  await completed;
  return { progress, error: form.querySelector(".dz-error-message").textContent.trim() || null };
}

/** Runs in the page. */
globalThis.uploadWithUppy = async (uppy, file) => {
  const progress = [];
  uppy.on("upload-progress", (_file, { bytesUploaded }) => progress.push(bytesUploaded));
  uppy.addFile({ name: file.name, type: file.type, data: file });
  const { failed } = await uppy.upload();
  return { progress, error: failed[0]?.error ?? null };
};

/** Runs in the page and makes a photo of about a megabyte. */
async function makePhoto() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1200, height: 900 });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(1200, 900);
  for (let i = 0; i < pixels.data.length; i += 1) pixels.data[i] = i % 4 === 3 ? 255 : (i * 2_654_435_761) >>> 24;
  context.putImageData(pixels, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  return new File([blob], "beach.jpg", { type: "image/jpeg" });
}

async function register(url) {
  const response = await fetch(`${url}api/v1/auth/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: `uploader-${Date.now()}@example.com`, password: "a long enough passphrase" }),
  });
  return (await response.json()).access_token;
}

/** Serves an empty page for each script, from an origin of its own. */
async function startPages(port) {
  const server = createServer((request, response) => {
    const name = request.url.slice(1);
    if (name.endsWith(".js")) {
      response.setHeader("content-type", "text/javascript");
      response.end(readFileSync(new URL(`node_modules/${SCRIPTS[name.slice(0, -3)]}`, import.meta.url)));
    } else {
      response.setHeader("content-type", "text/html");
      response.end(`<!doctype html><meta charset="utf-8"><body><script src="/${name}.js"></script>`);
    }
  });
  await new Promise((resolve) => server.listen(port, resolve));
  return server;
}

for (const backend of BACKENDS) {
  describe(`upload components on ${backend.name}`, { skip: noChromium || backend.skip }, () => {
    let browser, service, pages, origin, token;

    before(async () => {
      const port = await freePort();
      origin = `http://localhost:${port}`;
      pages = await startPages(port);
      [browser, service] = await Promise.all([
        launch(),
        startService(backend.name, { environment: { CORS_ORIGINS: origin } }),
      ]);
      token = await register(service.url);
    });

    after(async () => {
      pages?.close();
      await browser?.close();
      await service?.stop();
    });

    async function run({ script, upload }, makeFile) {
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(`${origin}/${script}`);
      await page.addScriptTag({ content: `globalThis.uploadWithUppy = ${globalThis.uploadWithUppy}` });
      const source = `(async () => (${upload})(await (${makeFile})(), ${JSON.stringify({ url: service.url, token })}))()`;
      const result = await page.evaluate(source);
      await context.close();
      return result;
    }

    const images = async () => {
      const headers = { authorization: `Bearer ${token}` };
      return (await (await fetch(`${service.url}api/v1/images`, { headers })).json()).items;
    };

    for (const [name, uploader] of Object.entries(UPLOADERS)) {
      test(`${name} uploads a photo and reports progress`, { timeout: 600_000 }, async () => {
        const count = (await images()).length;
        const { progress, error } = await run(uploader, makePhoto);
        assert.equal(error, null);
        assert.ok(progress.length > 0 && progress.at(-1) > 0, `progress: ${progress}`);
        const [image, ...others] = await images();
        assert.equal(others.length, count);
        assert.deepEqual([image.filename, image.width, image.height], ["beach.jpg", 1200, 900]);
      });

      test(`${name} shows why a file is refused`, { timeout: 600_000 }, async () => {
        const count = (await images()).length;
        const makeText = () => new File(["Just some text, no image."], "notes.txt", { type: "image/jpeg" });
        const { error } = await run(uploader, makeText);
        assert.match(error, /not .* image.* JPEG, PNG/i);
        assert.equal((await images()).length, count);
      });
    }
  });
}
