/** English messages of the account dialog. */

export default {
  "account.currentPassword": "Current password",
  "account.theme": "Appearance",
  "account.language": "Language",
  "theme.auto": "Automatic",
  "theme.light": "Light",
  "theme.dark": "Dark",

  "sessions.title": "Signed-in devices",
  "sessions.current": "This device",
  "sessions.unknown": "Unknown device",
  "sessions.endOthers": "Sign out all other devices",

  "export.title": "Export your data",
  "export.text": "Download all original files and their details as one ZIP file.",
  "export.start": "Export",
  "export.ready": "Your export is ready. The download has started.",

  "deleteAccount.title": "Delete my account",
  "deleteAccount.text":
    "This deletes your account and all your pictures immediately and permanently. To keep the pictures, export them first.",
  "deleteAccount.confirm": "Type {email} to confirm",
  "deleteAccount.password": "Enter your password to confirm",
  "deleteAccount.submit": "Delete account and pictures",
  "deleteAccount.done": "Your account and all its pictures are being deleted.",
};
