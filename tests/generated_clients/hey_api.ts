/** The journey of a user with the client that @hey-api/openapi-ts generates. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { client } from "./generated/hey_api/client.gen.js";
import {
  deleteImage,
  exportAccount,
  getImage,
  getJob,
  listImages,
  listThumbnails,
  register,
  signIn,
  updateImage,
  uploadImage,
  watchImage,
} from "./generated/hey_api/sdk.gen.js";

const [, , baseUrl, photo] = process.argv as [string, string, string, string];
const user = { email: `user-${Date.now()}@example.com`, password: "a long enough passphrase" };
client.setConfig({ baseUrl });

const registered = await register({ body: user });
assert.equal(registered.data?.user.email, user.email);

const signedIn = await signIn({ body: { username: user.email, password: user.password }, throwOnError: true });
client.setConfig({ auth: () => signedIn.data.access_token });

const file = new File([new Uint8Array(await readFile(photo))], "beach.jpg");
const { data: image } = await uploadImage({
  body: { file, description: "At the sea" },
  headers: { Prefer: "respond-async" },
  throwOnError: true,
});
const path = { image_id: image.id };

const { stream } = await watchImage({ path });
let last = image;
for await (const event of stream) last = event;
assert.ok(last.thumbnails.every(({ status }) => status === "ready"));

const page = await listImages({ query: { limit: 10 }, throwOnError: true });
assert.deepEqual(
  page.data.items.map((item) => item.id),
  [image.id],
);
assert.equal(page.data.next_cursor, null);

const read = await getImage({ path });
assert.equal(read.data?.description, "At the sea");

const edited = await updateImage({ path, body: { description: null } });
assert.equal(edited.data?.description, null);
assert.equal(edited.data?.filename, "beach.jpg");

const thumbnails = await listThumbnails({ path });
assert.ok(thumbnails.data?.thumbnails.every(({ status }) => status === "ready"));

let { data: job } = await exportAccount({ throwOnError: true });
while (!job.finished_at)
  ({ data: job } = await getJob({ path: { job_id: job.job_id }, query: { wait: 20 }, throwOnError: true }));
assert.equal(job.status, "completed");
assert.ok(job.result?.url);

const deleted = await deleteImage({ path });
assert.equal(deleted.response?.status, 204);

const missing = await getImage({ path });
assert.equal(missing.data, undefined);
assert.equal(missing.error?.code, "image_missing");
assert.equal(missing.error?.status, 404);
console.log("completed");
