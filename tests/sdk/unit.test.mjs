/** Parts of the packed client that need no service. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, test } from "node:test";
import { inflateSync } from "node:zlib";
import { ImageClient, placeholderDataUrl, thumbnailSrcset } from "image-upload-service";
import { decode } from "../../app/web/js/thumbhash.js";

const OPAQUE = "1QcSHQRnh493V4dIh4eXh1h4kJUI";
const TRANSPARENT = "YJqGPQw7sFlslqhFafSE+Q6oJ1h2iHB2Rw==";

/** Returns a client of a server that handles each request with the next of the handlers. */
async function served(handlers, use) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume();
    handlers.shift()(response, request);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `http://127.0.0.1:${server.address().port}`;
  try {
    await use(new ImageClient({ baseUrl, getToken: () => "token" }), requests);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const json =
  (status, body, headers = {}) =>
  (response) =>
    response.writeHead(status, headers).end(JSON.stringify(body));
const unavailable = json(503, { code: "overloaded", detail: "Try again." }, { "Retry-After": "1" });

describe("requests", { timeout: 600_000 }, () => {
  test("a request that may be repeated is repeated after 503 and after a lost connection", () =>
    served([unavailable, (response) => response.destroy(), json(200, { id: "1" })], async (client, requests) => {
      assert.deepEqual(await client.get("1"), { id: "1" });
      assert.equal(requests.length, 3);
    }));

  test("the fourth failure is thrown", () =>
    served(Array(4).fill((response) => response.destroy()), async (client, requests) => {
      await assert.rejects(client.get("1"), { code: "network", status: 0 });
      assert.equal(requests.length, 4);
    }));

  test("a request without an idempotency key is not repeated", () =>
    served([unavailable], async (client, requests) => {
      await assert.rejects(client.jobs.exportImages(), { code: "overloaded", status: 503, retryAfter: 1 });
      assert.equal(requests.length, 1);
    }));

  test("all attempts have the same idempotency key", () =>
    served([unavailable, json(202, {})], async (client, requests) => {
      await client.jobs.fetchProductImage("3017620422003");
      const keys = requests.map(({ headers }) => headers["idempotency-key"]);
      assert.equal(keys[0], keys[1]);
      assert.ok(keys[0]);
    }));

  test("a long wait is left to the caller", () =>
    served([json(429, { code: "too_many_uploads", detail: "Wait." }, { "Retry-After": "3600" })], async (client) => {
      await assert.rejects(client.get("1"), { code: "too_many_uploads", retryAfter: 3600 });
    }));

  test("a page of a proxy is not taken for a response of the service", async () => {
    await served([(response) => response.writeHead(404).end("<html>")], async (client) => {
      await assert.rejects(client.get("1"), { code: "unexpected_response", status: 404 });
    });
    await served([(response) => response.end("<html>")], async (client) => {
      await assert.rejects(client.get("1"), { code: "unexpected_response", status: 200 });
    });
  });

  test("an abort throws the reason of the signal", () =>
    served([() => controller.abort(new Error("no longer needed"))], async (client) => {
      await assert.rejects(client.get("1", { signal: controller.signal }), { message: "no longer needed" });
    }));
  const controller = new AbortController();
});

describe("resumable uploads", { timeout: 600_000 }, () => {
  const empty = (status, headers) => (response) => response.writeHead(status, headers).end();
  const created = empty(201, { Location: "https://photos.example.com/api/v1/images/tus/1" });
  const askedAt = (offset) => empty(200, { "Upload-Offset": String(offset), "Upload-Length": "3" });
  const asked = askedAt(0);
  const limited = (bytes) => json(200, { max_request_size: bytes });
  const stored = empty(204, { "Upload-Offset": "3" });
  const image = json(200, { id: "1" });
  const upload = (client) => client.upload(new Uint8Array(3), { method: "resumable" });
  const summaryOf = (requests) => requests.map(({ method }) => method).join(" ");

  test("the offset is asked for again if it has changed", () => {
    const changed = json(409, { code: "upload_offset_mismatch", detail: "" });
    return served([limited(null), created, asked, changed, asked, stored, image], async (client, requests) => {
      assert.deepEqual(await upload(client), { id: "1" });
      assert.equal(summaryOf(requests), "GET POST HEAD PATCH HEAD PATCH GET");
    });
  });

  test("no request is larger than the service accepts", () => {
    const parts = [empty(204, { "Upload-Offset": "2" }), stored];
    return served([limited(2), created, asked, ...parts, image], async (client, requests) => {
      await upload(client);
      const sizes = requests.filter(({ method }) => method === "PATCH").map(({ headers }) => headers["content-length"]);
      assert.deepEqual(sizes, ["2", "1"]);
    });
  });

  test("a refused token is renewed, and the upload continues", () =>
    served([limited(null), created, empty(401), asked, stored, image], async (client, requests) => {
      await upload(client);
      assert.equal(summaryOf(requests), "GET POST HEAD HEAD PATCH GET");
    }));

  test("a refused file is not sent again", () =>
    served([limited(null), created, asked, json(415, { code: "format_unsupported", detail: "" })], async (client) => {
      await assert.rejects(upload(client), { code: "format_unsupported", status: 415 });
    }));

  test("interruptions are not counted while there is progress", () => {
    const length = 12;
    const headers = { "Upload-Length": String(length) };
    const cuts = Array.from({ length }, (_, i) => [
      empty(200, { ...headers, "Upload-Offset": String(i) }),
      (response) => response.destroy(),
    ]);
    const last = [
      empty(200, { ...headers, "Upload-Offset": String(length - 1) }),
      empty(204, { "Upload-Offset": String(length) }),
    ];
    return served([limited(null), created, ...cuts.flat(), ...last, image], async (client) => {
      assert.deepEqual(await client.upload(new Uint8Array(length), { method: "resumable" }), { id: "1" });
    });
  });

  test("an upload that the service has deleted starts once from the beginning", () =>
    served([limited(null), created, empty(404), created, asked, stored, image], async (client, requests) => {
      await upload(client);
      assert.equal(summaryOf(requests), "GET POST HEAD POST HEAD PATCH GET");
    }));

  test("the same key continues the same upload, also after it has ended", () =>
    served([limited(null), created, asked, stored, image, askedAt(3), image], async (client, requests) => {
      const options = { method: "resumable", idempotencyKey: "one" };
      for (let i = 0; i < 2; i++) await client.upload(new Uint8Array(3), options);
      assert.equal(summaryOf(requests), "GET POST HEAD PATCH GET HEAD GET");
    }));
});

describe("direct uploads", { timeout: 600_000 }, () => {
  test("an upload whose URL has expired is initiated again with another key", () => {
    let url;
    const initiated = (response, request) => {
      url = `http://${request.headers.host}/put`;
      response.writeHead(201).end(JSON.stringify({ upload_id: "1", put_url: url }));
    };
    const lost = (response) => response.writeHead(409).end("<Error/>");
    const expired = (response) => response.writeHead(403).end("<Error><Code>AccessDenied</Code></Error>");
    const done = (response) => response.end();
    const completed = json(200, { id: "1" });
    return served([initiated, lost, initiated, expired, initiated, done, completed], async (client, requests) => {
      const file = new File(["photo"], "photo.jpg");
      await assert.rejects(client.upload(file, { method: "direct" }), { code: "unexpected_response", status: 409 });
      assert.deepEqual(await client.upload(file, { method: "direct" }), { id: "1" });
      const keys = requests.map(({ headers }) => headers["idempotency-key"]).filter(Boolean);
      assert.equal(keys[0], keys[1]);
      assert.notEqual(keys[1], keys[2]);
    });
  });
});

describe("events", { timeout: 600_000 }, () => {
  test("an interrupted stream continues after the last event", () => {
    const first = (response) => {
      response.write(': comment\r\n\r\nevent: job\r\nid: a\r\ndata: {"finished_at":\r\ndata: null}\r\n\r\n');
      response.write('id: lost\ndata: {"incompl', () => response.destroy());
    };
    const second = (response) => response.end('id: b\ndata: {"finished_at": "now"}\n\n');
    return served([first, second], async (client, requests) => {
      const states = [];
      for await (const job of client.jobs.events("1")) states.push(job.finished_at);
      assert.deepEqual(states, [null, "now"]);
      assert.deepEqual(
        requests.map(({ headers }) => headers["last-event-id"]),
        [undefined, "a"],
      );
    });
  });

  test("a service that restarts is asked again", () => {
    const down = (response) => response.destroy();
    const handlers = [down, unavailable, (response) => response.end('data: {"finished_at": "now"}\n\n')];
    return served(handlers, async (client) => {
      for await (const job of client.jobs.events("1")) assert.equal(job.finished_at, "now");
    });
  });

  test("a stream that ends before the job has finished is requested again", () => {
    const events = (text) => (response) => response.end(text);
    return served([events(""), events('data: {"finished_at": "now"}\n\n')], async (client) => {
      for await (const job of client.jobs.events("1")) assert.equal(job.finished_at, "now");
    });
  });

  test("a caller that stops early closes the stream", () => {
    let isClosed;
    const closed = new Promise((resolve) => (isClosed = resolve));
    const endless = (response, request) => {
      request.socket.on("close", isClosed);
      response.write('data: {"finished_at": null}\n\n');
    };
    return served([endless], async (client) => {
      for await (const _ of client.jobs.events("1")) break;
      await closed;
    });
  });
});

describe("React Native", { timeout: 600_000 }, () => {
  /** Runs with what React Native has and Node has not. */
  async function inReactNative(use) {
    const { FormData } = globalThis;
    const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
    Object.defineProperty(globalThis, "navigator", { value: { product: "ReactNative" }, configurable: true });
    const parts = [];
    globalThis.FormData = class extends FormData {
      append(name, value) {
        parts.push([name, value]);
      }
    };
    try {
      await use(parts);
    } finally {
      globalThis.FormData = FormData;
      if (before) Object.defineProperty(globalThis, "navigator", before);
      else delete globalThis.navigator;
    }
  }

  test("a form gets the description of the file, not its content", () =>
    inReactNative((parts) =>
      served([json(201, { id: "1" })], async (client) => {
        const file = { uri: "file:///photo.jpg", name: "photo.jpg", type: "image/jpeg", size: 1000 };
        await client.upload(file, { method: "request" });
        assert.deepEqual(parts, [["file", file]]);
      }),
    ));

  test("events are polled, because fetch cannot read a stream", () =>
    inReactNative(() => {
      const running = json(200, { finished_at: null });
      return served([running, running, json(200, { finished_at: "now" })], async (client, requests) => {
        const states = [];
        for await (const job of client.jobs.events("1")) states.push(job.finished_at);
        assert.deepEqual(states, [null, "now"]);
        assert.ok(requests.every(({ url }) => url === "/api/v1/jobs/1"));
      });
    }));

  test("elsewhere the content behind the URI is sent", async () => {
    await served([json(201, { id: "1" })], async (client, requests) => {
      const uri = `data:image/jpeg;base64,${Buffer.alloc(5000).toString("base64")}`;
      await client.upload({ uri, name: "photo.jpg", type: "image/jpeg" }, { method: "request" });
      assert.ok(Number(requests[0].headers["content-length"]) > 5000);
    });
  });
});

describe("pictures", () => {
  for (const [name, placeholder] of Object.entries({ OPAQUE, TRANSPARENT }))
    test(`a placeholder has the pixels that the gallery shows: ${name}`, () => {
      const expected = decode(Buffer.from(placeholder, "base64"));
      assert.deepEqual(readPng(placeholderDataUrl(placeholder)), expected);
    });

  test("a srcset has each width once, and only thumbnails that are ready", () => {
    const thumbnails = [
      { url: "https://x/800?a=1,2", width: 640 },
      { url: "https://x/200", width: 200 },
      { url: "https://x/1000", width: 640 },
      { url: null, width: null },
    ];
    assert.equal(thumbnailSrcset({ thumbnails }), "https://x/200 200w, https://x/1000 640w");
    assert.equal(thumbnailSrcset({ thumbnails: [] }), "");
  });
});

/** Reads the only kind of PNG that the client writes: RGBA without a filter. */
function readPng(dataUrl) {
  const png = Buffer.from(dataUrl.replace("data:image/png;base64,", ""), "base64");
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const rows = inflateSync(png.subarray(41, 41 + png.readUInt32BE(33)));
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    const row = rows.subarray(y * (width * 4 + 1) + 1, (y + 1) * (width * 4 + 1));
    pixels.set(row, y * width * 4);
  }
  return { width, height, pixels };
}
