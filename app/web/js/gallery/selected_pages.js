/** The ids of all selected images of the library, also of those that are not loaded. */

const PAGE_SIZE = 100;

/** Yields the ids in groups of up to 100. `ids` are the selected images if they are known, otherwise null. */
export async function* selectedPages({ api, selection }, ids) {
  if (ids) {
    for (let i = 0; i < ids.length; i += PAGE_SIZE) yield ids.slice(i, i + PAGE_SIZE);
    return;
  }
  const excluded = new Set(selection.ids);
  let cursor = "";
  do {
    const query = new URLSearchParams({ limit: PAGE_SIZE, ...(cursor && { cursor }) });
    const page = await api.get(`images?${query}`);
    yield page.items.map(({ id }) => id).filter((id) => !excluded.has(id));
    cursor = page.next_cursor;
  } while (cursor);
}
