// Uploads a file with tus-js-client: node upload.mjs ENDPOINT AUTHORIZATION FILE. Prints the URL of the image.
import { createReadStream, statSync } from "node:fs";
import { Upload } from "tus-js-client";

const [endpoint, authorization, path] = process.argv.slice(2);
let image = null;

const upload = new Upload(createReadStream(path), {
  endpoint,
  headers: { Authorization: authorization },
  metadata: { filename: "holiday ☀.jpg", description: "Sent by tus-js-client" },
  uploadSize: statSync(path).size,
  chunkSize: 20_000_000,
  retryDelays: Array(120).fill(1000),
  onAfterResponse: (_request, response) => {
    image = response.getHeader("Content-Location") ?? image;
  },
  onError: (error) => {
    console.error(error.message);
    process.exit(1);
  },
  onSuccess: () => console.log(image),
});
upload.start();
