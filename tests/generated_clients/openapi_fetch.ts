/** The journey of a user with openapi-fetch and the types that openapi-typescript generates. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/openapi_typescript/schema.js";

type Image = components["schemas"]["ImageView"];
const [, , baseUrl, photo] = process.argv as [string, string, string, string];
const user = { email: `user-${Date.now()}@example.com`, password: "a long enough passphrase" };
const api = createClient<paths>({ baseUrl });

const registered = await api.POST("/api/v1/auth/register", { body: user });
assert.equal(registered.data?.user.email, user.email);

const signedIn = await api.POST("/api/v1/auth/token", {
  body: { username: user.email, password: user.password },
  headers: { "Content-Type": "application/x-www-form-urlencoded" },
});
assert.ok(signedIn.data);
const token = signedIn.data.access_token;
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
  },
});

const form = new FormData();
form.append("file", new Blob([new Uint8Array(await readFile(photo))]), "beach.jpg");
form.append("description", "At the sea");
const uploaded = await api.POST("/api/v1/images/upload", {
  params: { header: { "Idempotency-Key": "one" } },
  // The type of a binary field is string. The serializer replaces the body by the form.
  body: { file: "" },
  bodySerializer: () => form,
});
assert.equal(uploaded.response.status, 201);
const image: Image | undefined = uploaded.data;
assert.ok(image);
const path = { image_id: image.id };

const page = await api.GET("/api/v1/images", { params: { query: { limit: 10 } } });
assert.deepEqual(
  page.data?.items.map((item) => item.id),
  [image.id],
);
assert.equal(page.data?.next_cursor, null);

const read = await api.GET("/api/v1/images/{image_id}", { params: { path } });
assert.equal(read.data?.description, "At the sea");

const edited = await api.PATCH("/api/v1/images/{image_id}", { params: { path }, body: { description: null } });
assert.equal(edited.data?.description, null);
assert.equal(edited.data?.filename, "beach.jpg");

const thumbnails = await api.GET("/api/v1/images/{image_id}/thumbnails", { params: { path } });
assert.ok(thumbnails.data?.thumbnails.every(({ status }) => status === "ready"));

const exported = await api.POST("/api/v1/auth/me/export");
assert.ok(exported.data);
let job = exported.data;
while (!job.finished_at) {
  const polled = await api.GET("/api/v1/jobs/{job_id}", {
    params: { path: { job_id: job.job_id }, query: { wait: 20 } },
  });
  assert.ok(polled.data);
  job = polled.data;
}
assert.equal(job.status, "completed");
assert.ok(job.result?.url);

const deleted = await api.DELETE("/api/v1/images/{image_id}", { params: { path } });
assert.equal(deleted.response.status, 204);

const missing = await api.GET("/api/v1/images/{image_id}", { params: { path } });
assert.equal(missing.data, undefined);
assert.equal(missing.error?.code, "image_missing");
assert.equal(missing.error?.status, 404);
console.log("completed");
