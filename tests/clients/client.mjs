// Sends requests with a client for Node; matrix.py describes the arguments and the output.
import { openAsBlob } from "node:fs";
import { readFile } from "node:fs/promises";
import http from "node:http";

const [client, url, kind, path, count, token] = process.argv.slice(2);
const health = new URL("/health/live", url);
const blob = await openAsBlob(path);
const bytes = await readFile(path);
const headers = token ? { Authorization: `Bearer ${token}` } : {};
if (kind === "raw") headers["Content-Type"] = "text/plain"; // an image would be accepted

function form() {
  const data = new FormData();
  data.append("file", blob, "photo.jpg");
  return data;
}

// Both return the status that the problem in the body names, so that only a response that is complete counts.
const clients = {
  async fetch() {
    const body = kind === "form" ? form() : blob;
    const problem = await (await fetch(url, { method: "POST", body, headers })).json();
    const live = await (await fetch(health)).json();
    return [problem, live];
  },

  async axios() {
    const { default: axios } = await import("axios"); // the only client that has to be installed
    const options = { headers, maxBodyLength: Infinity, validateStatus: null };
    const { data: problem } = await axios.post(url, kind === "form" ? form() : bytes, options);
    const { data: live } = await axios.get(health.href);
    return [problem, live];
  },

  async http() {
    let parts = [bytes];
    if (kind === "form") {
      headers["Content-Type"] = "multipart/form-data; boundary=x";
      const head = '--x\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n';
      parts = [Buffer.from(head), bytes, Buffer.from("\r\n--x--\r\n")];
    }
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const options = { method: "POST", agent, headers: { ...headers, "Content-Length": length } };
    return [await request(url, options, parts), await request(health, { agent }, [])];
  },
};

const agent = new http.Agent({ keepAlive: true });

function request(address, options, parts) {
  return new Promise((resolve, reject) => {
    const sent = http.request(address, options, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
      response.on("error", reject);
    });
    sent.on("error", reject);
    for (const part of parts) sent.write(part);
    sent.end();
  });
}

const outcomes = {};
for (let i = 0; i < count; i++) {
  let outcome;
  try {
    const [problem, live] = await clients[client]();
    outcome = live.status === "ok" ? problem.status : `then ${JSON.stringify(live)}`;
  } catch (error) {
    outcome = error.cause?.code ?? error.code ?? error.message;
  }
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}
console.log(JSON.stringify(outcomes));
agent.destroy();
