import type { Connection } from "./connection.js";

interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

interface PageOptions {
  query: Record<string, string | number | undefined>;
  signal?: AbortSignal | undefined;
}

/** Yield the items of all pages. A page is requested when the items before it have been consumed. */
export async function* pages<T>(
  connection: Connection,
  path: string,
  { query, signal }: PageOptions,
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined;
  do {
    const page: Page<T> = await connection.json("GET", path, { query: { ...query, cursor }, signal });
    yield* page.items;
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
}
