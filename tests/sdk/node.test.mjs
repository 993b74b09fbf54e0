/** The packed client in Node, with a running service. */

import assert from "node:assert/strict";
import { mkdtempSync, openAsBlob, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import {
  ImageClient,
  ImageServiceError,
  PasswordSession,
  placeholderDataUrl,
  renditionSrcset,
  renditionUrl,
  thumbnailSrcset,
} from "image-upload-service";
import { startService } from "../web/service.mjs";
import { assertOnlyImage, largePhoto, PHOTO } from "./photos.mjs";
import { startProxy } from "./proxy.mjs";

const PASSWORD = "a long enough passphrase";
const LARGE = largePhoto(20_000_000);
let users = 0;

/** An asynchronous storage, as React Native has one. */
const storageIn = (values) => ({
  getItem: async (key) => values.get(key) ?? null,
  setItem: async (key, value) => void values.set(key, value),
  removeItem: async (key) => void values.delete(key),
});

describe("the client in Node", { timeout: 600_000 }, () => {
  let service;
  let proxy;
  let baseUrl;
  let session;
  let client;
  before(async () => {
    service = await startService("embedded");
  });
  after(() => service?.stop());
  afterEach(() => proxy?.stop());
  beforeEach(async () => {
    proxy = await startProxy(service.settings.PORT);
    baseUrl = proxy.url;
    session = new PasswordSession({ baseUrl: service.url });
    await session.register({ email: `user-${Date.now()}-${++users}@example.com`, password: PASSWORD });
    client = new ImageClient({ baseUrl, getToken: session.getToken });
  });

  test("a photo is uploaded, listed, changed, followed and deleted", async () => {
    const file = new File([PHOTO], "beach ☀.jpg", { type: "image/jpeg" });
    const progress = [];
    const image = await client.upload(file, {
      description: "At the sea",
      respondAsync: true,
      onProgress: (event) => progress.push(event),
    });
    assert.deepEqual(progress.at(-1), { sent: PHOTO.length, total: PHOTO.length });
    assert.equal(image.filename, "beach ☀.jpg");
    let last;
    for await (const state of client.events(image.id)) last = state;
    assert.ok(last.thumbnails.every(({ status }) => status === "ready"));
    assert.match(thumbnailSrcset(last), /^http\S+ 200w, http\S+ 500w, http\S+ 640w$/);
    assert.match(placeholderDataUrl(last.placeholder), /^data:image\/png;base64,/);
    await assertOnlyImage(client, last, PHOTO);

    const changed = await client.update(image.id, { description: null });
    assert.deepEqual([changed.filename, changed.description], ["beach ☀.jpg", null]);
    assert.equal((await client.get(image.id)).description, null);
    await client.delete(image.id);
    await client.delete(image.id);
    await assert.rejects(client.get(image.id), { name: "ImageServiceError", code: "image_missing", status: 404 });
  });

  for (const method of ["request", "direct", "resumable"])
    test(`custom metadata arrives with an upload by the method ${method}`, async () => {
      const customMetadata = { album: "Sommer ☀", order: "17" };
      const { id } = await client.upload(PHOTO, { filename: "a.jpg", customMetadata, method });
      assert.deepEqual((await client.get(id)).custom_metadata, customMetadata);
    });

  test("an image is shown in other sizes and formats", async () => {
    const image = await client.upload(PHOTO);
    const typeOf = async (url) => (await fetch(url)).headers.get("Content-Type");
    assert.equal(await typeOf(renditionUrl(image, { width: 96, format: "webp" })), "image/webp");
    assert.equal(await typeOf(renditionUrl(image, { width: 64, height: 64, fit: "cover", format: "jpeg" })), "image/jpeg");
    const srcset = renditionSrcset(image, [96, 160], { format: "avif" });
    const [first, second] = srcset.split(", ");
    assert.match(first, /\?w=96&format=avif 96w$/);
    assert.equal(await typeOf(second.split(" ")[0]), "image/avif");
    assert.equal(renditionUrl({ rendition_url: null }, { width: 96 }), null);
    assert.equal(renditionSrcset({ rendition_url: null }, [96]), "");
  });

  test("images are shared with people without an account", async () => {
    const { id } = await client.upload(PHOTO);
    const share = await client.shares.create([id], { title: "Beach", download: "rendition" });
    const json = share.url.replace("/s/", "/api/v1/shared/");
    assert.equal((await (await fetch(json)).json()).images.length, 1);
    const changed = await client.shares.update(share.id, { title: null, password: "sand and salt" });
    assert.deepEqual([changed.title, changed.has_password], [null, true]);
    assert.equal((await fetch(json)).status, 403);
    const listed = [];
    for await (const item of client.shares.list()) listed.push(item);
    assert.deepEqual(listed, [changed]);
    await client.shares.revoke(share.id);
    await client.shares.revoke(share.id);
    assert.equal((await fetch(json)).status, 404);
  });

  test("a list has all pages, and many images are deleted at once", async () => {
    const ids = [];
    for (let i = 0; i < 3; i++) ids.unshift((await client.upload(PHOTO, { filename: `${i}.jpg` })).id);
    const listed = [];
    for await (const { id } of client.list({ pageSize: 2 })) listed.push(id);
    assert.deepEqual(listed, ids);
    const taken = [];
    const order = { pageSize: 2, sort: "taken_at", takenAfter: "2000-01-01", takenBefore: "2100-01-01" };
    for await (const { id } of client.list(order)) taken.push(id);
    assert.deepEqual(taken, ids);
    for await (const { id } of client.list({ takenBefore: "2000-01-01T12:00" })) assert.fail(id);
    const { months, images } = await client.timeline();
    assert.equal(images, 3);
    assert.match(months[0].month, /^\d{4}-\d{2}$/);
    const unknown = "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10";
    const results = await client.deleteMany([...ids, unknown]);
    assert.deepEqual(results, { ...Object.fromEntries(ids.map((id) => [id, "deleted"])), [unknown]: "image_missing" });
  });

  test("a job is followed until it has finished", async () => {
    await client.upload(PHOTO);
    const { job_id } = await client.jobs.exportImages();
    let last;
    for await (const job of client.jobs.events(job_id)) last = job;
    assert.equal(last.status, "completed");
    assert.ok(last.result.url);
    assert.equal((await client.jobs.get(job_id)).status, "completed");
    const completed = [];
    for await (const job of client.jobs.list({ status: "completed" })) completed.push(job.job_id);
    assert.ok(completed.includes(job_id));
  });

  test("errors have the code, the fields and the request id of the service", async () => {
    const text = new Blob(["This is not an image."]);
    const error = await client.upload(text).catch((reason) => reason);
    assert.ok(error instanceof ImageServiceError);
    assert.deepEqual([error.code, error.status, error.message], ["format_unsupported", 415, error.problem.detail]);
    await assert.rejects(client.update("0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10", { filename: "" }), (refusal) => {
      assert.equal(refusal.code, "request_invalid");
      assert.ok(refusal.problem.request_id);
      assert.equal(refusal.problem.errors.length, 1);
      return true;
    });
  });

  test("a refused token is renewed once", async () => {
    const asked = [];
    const getToken = async ({ forceRefresh }) => {
      asked.push(forceRefresh);
      return forceRefresh ? session.getToken({ forceRefresh }) : "refused";
    };
    const stale = new ImageClient({ baseUrl, getToken });
    await stale.upload(PHOTO, { method: "request" });
    assert.deepEqual(asked, [false, true]);
    const refused = new ImageClient({ baseUrl, getToken: () => "refused" });
    await assert.rejects(refused.account(), { code: "token_invalid", status: 401 });
  });

  test("a session is renewed, kept in its storage, and ended", async () => {
    const storage = storageIn(new Map());
    const stored = new PasswordSession({ baseUrl, storage });
    await stored.register({ email: `stored-${Date.now()}@example.com`, password: PASSWORD });
    const first = await stored.getToken({ forceRefresh: false });
    assert.equal(await stored.getToken({ forceRefresh: false }), first);
    const renewed = await Promise.all([1, 2].map(() => stored.getToken({ forceRefresh: true })));
    assert.equal(renewed[0], renewed[1]);
    const reopened = new PasswordSession({ baseUrl, storage });
    assert.equal(await reopened.getToken({ forceRefresh: false }), renewed[0]);
    await reopened.signOut();
    await assert.rejects(stored.getToken({ forceRefresh: false }), { code: "signed_out" });
    const withOldToken = new ImageClient({ baseUrl, getToken: () => renewed[0] });
    await assert.rejects(withOldToken.account(), { code: "token_invalid" });
  });

  test("a lost response does not create a second image", async () => {
    let isLost = false;
    proxy.onResponse = (data) => {
      if (isLost || !data.includes("HTTP/1.1 201")) return true;
      isLost = true;
      proxy.cut();
      return false;
    };
    const image = await client.upload(PHOTO);
    assert.ok(isLost);
    await assertOnlyImage(client, image, PHOTO);
  });

  test("a large file continues after its connection was cut twice", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sdk-"));
    const cuts = [6_000_000, 15_000_000];
    proxy.onRequest = () => {
      if (proxy.passed > cuts[0]) {
        cuts.shift();
        proxy.cut();
      }
    };
    try {
      const path = join(folder, "large.jpg");
      writeFileSync(path, LARGE);
      const sent = [];
      const onProgress = (event) => sent.push(event.sent);
      const image = await client.upload(await openAsBlob(path), { filename: "large.jpg", onProgress });
      assert.equal(cuts.length, 0);
      assert.equal(sent.at(-1), LARGE.length);
      await assertOnlyImage(client, image, LARGE);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("an aborted upload is continued by another client with the same storage", async () => {
    const values = new Map();
    const options = { baseUrl, getToken: session.getToken, storage: storageIn(values) };
    const file = new File([LARGE], "large.jpg");
    const controller = new AbortController();
    proxy.onRequest = () => proxy.passed > 12_000_000 && controller.abort();
    await assert.rejects(new ImageClient(options).upload(file, { signal: controller.signal }), { name: "AbortError" });
    assert.equal(values.size, 1);
    proxy.onRequest = () => {};
    let offset = null;
    proxy.onResponse = (data) => {
      offset ??= /^upload-offset: (\d+)/im.exec(data)?.[1] ?? null;
      return true;
    };
    const image = await new ImageClient(options).upload(file);
    // The first request, of eight MiB, was complete.
    assert.ok(Number(offset) >= 8 * 1024 * 1024, `continued at ${offset}`);
    assert.equal(values.size, 0);
    await assertOnlyImage(client, image, LARGE);
  });

  test("a remembered upload whose image was deleted starts from the beginning", async () => {
    for (const [name, content] of [["large.jpg", LARGE], ["small.jpg", PHOTO]]) {
      // As after a reload in the moment in which the response arrives.
      const storage = { ...storageIn(new Map()), removeItem() {} };
      const reloaded = () => new ImageClient({ baseUrl, getToken: session.getToken, storage });
      const file = new File([content], name);
      const first = await reloaded().upload(file);
      assert.equal((await reloaded().upload(file)).id, first.id);
      await client.delete(first.id);
      const second = await reloaded().upload(file);
      assert.notEqual(second.id, first.id);
      await assertOnlyImage(client, second, content);
      await client.delete(second.id);
    }
  });

  test("a direct upload is repeated after an interruption", async () => {
    let isCut = false;
    proxy.onRequest = () => {
      if (isCut || proxy.passed < 5_000_000) return;
      isCut = true;
      proxy.cut();
    };
    const image = await client.upload(LARGE, { method: "direct", filename: "large.jpg" });
    await assertOnlyImage(client, image, LARGE);
  });
});
