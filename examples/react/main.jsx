// Accounts of the service itself, uploads with progress that can be stopped, and a grid of photos.
//
//   npm ci --ignore-scripts --prefix ../../clients/typescript && npm run build --prefix ../../clients/typescript
//   npm ci --ignore-scripts && VITE_SERVICE=http://localhost:8000 npm run dev
//
// The service needs CORS_ORIGINS=http://localhost:5173.
import { ImageClient, PasswordSession, placeholderDataUrl, thumbnailSrcset } from "image-upload-service";
import React, { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const baseUrl = import.meta.env.VITE_SERVICE ?? "http://localhost:8000";
const session = new PasswordSession({ baseUrl, storage: sessionStorage });
const client = new ImageClient({ baseUrl, getToken: session.getToken });

function App() {
  const [isSignedIn, setSignedIn] = useState(null);
  useEffect(() => void session.isSignedIn().then(setSignedIn), []);
  if (isSignedIn === null) return null;
  return isSignedIn ? <Photos /> : <SignIn onSignedIn={() => setSignedIn(true)} />;
}

function SignIn({ onSignedIn }) {
  const [message, setMessage] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const [email, password] = ["email", "password"].map((name) => event.target.elements[name].value);
    const isNew = event.nativeEvent.submitter.value === "register";
    try {
      await (isNew ? session.register({ email, password }) : session.signIn(email, password));
      onSignedIn();
    } catch (error) {
      setMessage(error.message);
    }
  };
  return (
    <form onSubmit={submit}>
      <label>Email <input name="email" type="email" required /></label>
      <label>Password <input name="password" type="password" required /></label>
      <button value="sign-in">Sign in</button>
      <button value="register">Create an account</button>
      <p role="status">{message}</p>
    </form>
  );
}

function Photos() {
  const [images, setImages] = useState([]);
  const [upload, setUpload] = useState(null);
  const [message, setMessage] = useState("");

  useEffect(() => {
    const controller = new AbortController();
    const load = async () => {
      const loaded = [];
      for await (const image of client.list({ signal: controller.signal })) loaded.push(image);
      setImages(loaded);
    };
    load().catch((error) => controller.signal.aborted || setMessage(error.message));
    return () => controller.abort();
  }, []);

  const add = async ({ target }) => {
    const controller = new AbortController();
    const onProgress = ({ sent, total }) => setUpload({ controller, ratio: sent / total });
    try {
      const image = await client.upload(target.files[0], { onProgress, signal: controller.signal });
      setImages((others) => [image, ...others]);
      setMessage("");
    } catch (error) {
      setMessage(controller.signal.aborted ? "Stopped. Choose the same file again to continue." : error.message);
    }
    setUpload(null);
    target.value = "";
  };

  const remove = async (id) => {
    await client.delete(id);
    setImages((others) => others.filter((image) => image.id !== id));
  };

  return (
    <main>
      <label>Add a photo <input type="file" accept="image/*" onChange={add} /></label>
      {upload && <progress value={upload.ratio} />}
      {upload && <button onClick={() => upload.controller.abort()}>Stop</button>}
      <p role="status">{message}</p>
      {images.map((image) => (
        <figure key={image.id}>
          <Photo image={image} />
          <figcaption>
            {image.filename} <button onClick={() => remove(image.id)}>Delete</button>
          </figcaption>
        </figure>
      ))}
    </main>
  );
}

function Photo({ image }) {
  const background = image.placeholder && `url(${placeholderDataUrl(image.placeholder)}) center / cover`;
  const { filename, thumbnail_url: url } = image;
  const srcSet = thumbnailSrcset(image);
  return <img src={url} srcSet={srcSet} sizes="200px" width="200" alt={filename} style={{ background }} />;
}

createRoot(document.getElementById("root")).render(<App />);
