/** German messages of the account dialog. */

export default {
  "account.currentPassword": "Aktuelles Passwort",
  "account.theme": "Aussehen",
  "account.language": "Sprache",
  "theme.auto": "Automatisch",
  "theme.light": "Hell",
  "theme.dark": "Dunkel",

  "sessions.title": "Angemeldete Geräte",
  "sessions.current": "Dieses Gerät",
  "sessions.unknown": "Unbekanntes Gerät",
  "sessions.endOthers": "Alle anderen Geräte abmelden",

  "export.title": "Alles mitnehmen",
  "export.text": "Alle Originale und was über sie bekannt ist, in einer ZIP-Datei.",
  "export.start": "Exportieren",
  "export.ready": "Dein Export ist fertig; der Download hat begonnen.",

  "deleteAccount.title": "Mein Konto löschen",
  "deleteAccount.text":
    "Alle deine Bilder werden mit ihm gelöscht, sofort und endgültig. Exportiere sie vorher, wenn du sie behalten willst.",
  "deleteAccount.confirm": "Zur Bestätigung {email} eingeben",
  "deleteAccount.password": "Zur Bestätigung das Passwort eingeben",
  "deleteAccount.submit": "Konto und Bilder löschen",
  "deleteAccount.done": "Dein Konto und alle seine Bilder werden gelöscht. Mach’s gut.",
};
