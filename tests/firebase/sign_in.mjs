// Signs up and in with the Firebase SDK, as a client of this service would, and prints the ID token.
// Usage: node sign_in.mjs EMULATOR_HOST PROJECT_ID EMAIL PASSWORD
import { initializeApp } from "firebase/app";
import { connectAuthEmulator, createUserWithEmailAndPassword, getAuth, signInWithEmailAndPassword } from "firebase/auth";

const [emulatorHost, projectId, email, password] = process.argv.slice(2);
const auth = getAuth(initializeApp({ apiKey: "any", projectId }));
connectAuthEmulator(auth, `http://${emulatorHost}`, { disableWarnings: true });
await createUserWithEmailAndPassword(auth, email, password);
const { user } = await signInWithEmailAndPassword(auth, email, password);
process.stdout.write(await user.getIdToken());
process.exit(0);
