/** A bundle's files: from where they were kept, or downloaded, checked and kept for offline use. */
import {asBytes} from './dom.js';
import {LoadError} from './messages.js';

const KEPT = 'bundles';
const LIST = 'bundles.json';
const MANIFEST = 'manifest.json';
const WANTED = ['model.tflite', 'tokenizer.json', 'target_tokenizer.json', 'proof.npz'];
const FORMAT_VERSION = 2;

/**
 * @typedef {{name: string, title: string, task: string, folder: string, digest: string, samples: string[]}} Entry
 */

/** @returns {Promise<Entry[]>} the bundles of this site; without a network, those it had before */
export async function listBundles() {
  const cache = self.caches ? await caches.open(KEPT) : null;
  try {
    const content = await download(LIST, () => {}, 0), entries = parsed(content, LIST);
    await keep(cache, LIST, content);
    return entries;
  } catch (error) {
    const before = await cache?.match(LIST);
    if (!before) throw error;
    return before.json();
  }
}

/**
 * Fetches a bundle's files and checks each against the manifest.
 * @param {Entry} entry
 * @param {(done: number, total: number) => void} onProgress in bytes
 * @returns {Promise<{manifest: any, files: Record<string, ArrayBuffer>, kept: boolean}>} `kept`: for offline use
 */
export async function fetchBundle(entry, onProgress) {
  const first = await fetchFile(
    address(entry, MANIFEST, entry.digest), () => {}, (content) => checkManifest(entry, content));
  const manifest = parsed(first.content, MANIFEST);
  const names = WANTED.filter((name) => name in manifest.files);
  const total = names.reduce((sum, name) => sum + manifest.files[name].bytes, 0);
  const files = {};
  let done = 0, kept = first.kept;
  for (const name of names) {
    const {bytes, sha256} = manifest.files[name];
    const check = (content) => checkFile(name, content, bytes, sha256);
    const found = await fetchFile(
      address(entry, name, sha256), (received) => onProgress(done + received, total), check, bytes);
    files[name] = found.content;
    kept &&= found.kept;
    done += bytes;
  }
  return {manifest, files, kept};
}

/** Gives back the room of files that no bundle of the site has any more. */
export async function forgetOthers(entries) {
  if (!self.caches) return;
  const cache = await caches.open(KEPT);
  const folders = entries.map(({folder}) => new URL(folder, location.href).href);
  for (const request of await cache.keys()) {
    if (request.url.endsWith(`/${LIST}`)) continue;
    const folder = folders.findIndex((each) => request.url.startsWith(`${each}/`));
    const old = folder >= 0 && request.url.includes(MANIFEST) && !request.url.includes(entries[folder].digest);
    if (folder < 0 || old) await cache.delete(request);
  }
}

function address({folder}, name, version) {
  return `${folder}/${name}?v=${version}`;
}

function parsed(content, name) {
  try {
    return JSON.parse(new TextDecoder().decode(content));
  } catch {
    throw new LoadError('unreachable', `Something else answered for ${name}, as the sign-in page of a network does.`);
  }
}

/** Before it is kept: what is damaged, or of another version, would come from the cache again and again. */
async function checkManifest({title, digest}, content) {
  const version = parsed(content, MANIFEST).format_version;
  if (version !== FORMAT_VERSION) {
    throw new LoadError('unsupported', `${title} has format version ${version}, and this page reads ${FORMAT_VERSION}.`);
  }
  const found = await sha256Of(content);
  if (found !== null && !found.startsWith(digest)) {
    throw new LoadError('broken', `${MANIFEST} does not have the SHA-256 that ${LIST} says: it is damaged.`);
  }
}

async function checkFile(name, content, bytes, sha256) {
  if (content.byteLength !== bytes) {
    throw new LoadError('broken', `${name} has ${content.byteLength} bytes, and the manifest says ${bytes}.`);
  }
  const found = await sha256Of(content);
  if (found !== null && found !== sha256) {
    throw new LoadError('broken', `${name} does not have the SHA-256 that the manifest says: it is damaged.`);
  }
}

/** @returns {Promise<string | null>} none without HTTPS, where browsers compute no hashes; the page says so */
async function sha256Of(content) {
  if (!self.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function fetchFile(url, onProgress, check, bytes = 0) {
  const cache = self.caches ? await caches.open(KEPT) : null;
  const before = await cache?.match(url);
  if (before) {
    const content = await before.arrayBuffer();
    try {
      await check(content);
      onProgress(content.byteLength);
      return {content, kept: true};
    } catch {
      await cache.delete(url); // What was kept is damaged; it is fetched anew.
    }
  }
  const content = await download(url, onProgress, bytes);
  await check(content);
  return {content, kept: await keep(cache, url, content)};
}

async function keep(cache, url, content) {
  try {
    await cache?.put(url, new Response(content));
    return cache !== null;
  } catch {
    return false; // No room: the page works until it is closed, and says so.
  }
}

async function download(url, onProgress, bytes) {
  const response = await ask(url);
  const parts = [];
  let received = 0;
  try {
    for (const reader = response.body.getReader(); ; ) {
      const {done, value} = await reader.read();
      if (done) break;
      parts.push(value);
      received += value.byteLength;
      onProgress(received);
    }
  } catch (error) {
    throw new LoadError('interrupted', `It stopped after ${asBytes(received)} of ${bytes ? asBytes(bytes) : 'an unknown size'} of ${fileOf(url)}.`);
  }
  return new Blob(parts).arrayBuffer();
}

async function ask(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new LoadError('unreachable', `${fileOf(url)} could not be fetched.`);
  }
  if (!response.ok) throw new LoadError('missing', `${fileOf(url)}: the server says ${response.status}.`);
  return response;
}

function fileOf(url) {
  return url.split('?')[0];
}
