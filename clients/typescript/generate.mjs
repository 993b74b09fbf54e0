/**
 * Generates src/schema.ts, the types of the records and the error codes, from the OpenAPI description on standard
 * input: node generate.mjs [schema.ts].
 */

import { writeFileSync } from "node:fs";
import { json } from "node:stream/consumers";
import openapiTS, { astToString } from "openapi-typescript";

const [, , output = new URL("src/schema.ts", import.meta.url)] = process.argv;
const document = await json(process.stdin);
// The client has its own functions for the routes, and needs no types of them.
const types = astToString(await openapiTS({ ...structuredClone(document), paths: {} }));

/** The names of the examples of error responses are the error codes. */
const codes = new Set();
for (const path of Object.values(document.paths))
  for (const { responses = {} } of Object.values(path))
    for (const { content } of Object.values(responses))
      for (const code of Object.keys(content?.["application/problem+json"]?.examples ?? {})) codes.add(code);

const union = [...codes].sort().map((code) => `  | "${code}"`);
writeFileSync(
  output,
  `// Generated from the OpenAPI description of the service by generate.mjs. Do not edit.\n\n${types}
/** The codes of the errors that the service responds with. Later versions may add codes. */
export type ServiceErrorCode =\n${union.join("\n")};\n`,
);
