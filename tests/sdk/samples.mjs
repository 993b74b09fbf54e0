import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../web/service.mjs";

/** Returns the samples of a kind in the client's README. Those without a kind are parts of one program. */
export function samplesOf(kind) {
  const text = readFileSync(join(ROOT, "clients/typescript/README.md"), "utf8");
  const samples = [...text.matchAll(/^```ts ?(\w*)\n(.*?)^```$/gms)];
  return samples.filter((match) => match[1] === kind).map((match) => match[2]);
}
