// Deletes everything of a user from the image upload service when the Firebase account is deleted.
//
// Deploy it as a Firebase function (1st generation, because deletion events have no 2nd generation):
//   firebase functions:secrets:set IMAGE_SERVICE_KEY   # from: python -m app keys create firebase --scope users:delete
//   IMAGE_SERVICE_URL=https://photos.example.com firebase deploy --only functions
import { auth } from "firebase-functions/v1";
import { deleteUserImages } from "./delete_user.js";

export const deleteImages = auth.user().onDelete((user) => deleteUserImages(user.uid));
