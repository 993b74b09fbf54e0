// A server of your own that stores photos of its users in the image upload service, with a server key. Browsers never
// see the key.
//
//   python -m app keys create my-server --scope images     # prints IMAGE_SERVICE_KEY
//   npm ci --ignore-scripts --prefix ../../clients/typescript && npm run build --prefix ../../clients/typescript
//   npm install && IMAGE_SERVICE_KEY=isk_… DEMO_USER_ID=… IMAGE_SERVICE_URL=http://localhost:8000 node server.mjs
//   curl -b session=demo --data-binary @photo.jpg http://localhost:3000/photos
import { createServer } from "node:http";
import { blob } from "node:stream/consumers";
import { ImageClient, ImageServiceError } from "image-upload-service";

const { IMAGE_SERVICE_URL = "http://localhost:8000", IMAGE_SERVICE_KEY, DEMO_USER_ID, PORT = "3000" } = process.env;

// Replace this by the sessions of your application. The values are ids of users in the image upload service, which are
// those of Firebase with AUTH=firebase.
const sessions = new Map([["demo", DEMO_USER_ID]]);
const userOf = (request) => sessions.get(/\bsession=(\w+)/.exec(request.headers.cookie)?.[1]);

const clientFor = (userId) =>
  new ImageClient({
    baseUrl: IMAGE_SERVICE_URL,
    getToken: () => IMAGE_SERVICE_KEY,
    getHeaders: () => ({ "X-On-Behalf-Of": userId }),
  });

const routes = {
  "GET /photos": async (client) => {
    const images = [];
    for await (const { id, thumbnail_url } of client.list()) images.push({ id, thumbnail_url });
    return images;
  },
  "POST /photos": async (client, request) => {
    const { max_file_size: limit } = await client.limits();
    if (!(Number(request.headers["content-length"]) <= limit)) return { error: `Send at most ${limit} bytes.` };
    const { id, thumbnail_url } = await client.upload(await blob(request));
    return { id, thumbnail_url };
  },
};

const server = createServer(async (request, response) => {
  const send = (status, body) =>
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  const userId = userOf(request);
  const route = routes[`${request.method} ${request.url}`];
  if (!userId || !route) return send(userId ? 404 : 401, { error: userId ? "Not found." : "Sign in first." });
  try {
    send(200, await route(clientFor(userId), request));
  } catch (error) {
    const isRefused = error instanceof ImageServiceError && error.status < 500 && error.status !== 0;
    if (!isRefused) console.error(error);
    send(isRefused ? error.status : 502, { error: isRefused ? error.message : "Try again later." });
  }
});
server.listen(Number(PORT), () => console.log(`http://localhost:${server.address().port}/photos`));
