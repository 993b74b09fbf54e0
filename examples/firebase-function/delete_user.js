/** Ask the image service to delete everything of a user. Throws an error if that has to be tried again. */
export async function deleteUserImages(userId) {
  const url = `${process.env.IMAGE_SERVICE_URL}/api/v1/admin/users/${encodeURIComponent(userId)}`;
  const headers = { Authorization: `Bearer ${process.env.IMAGE_SERVICE_KEY}` };
  const response = await fetch(url, { method: "DELETE", headers });
  // 404: the user never used the service, or is deleted already.
  if (!response.ok && response.status !== 404) {
    throw new Error(`The image service responded ${response.status}: ${await response.text()}`);
  }
}
