/**
 * Keeps the app for offline use: its shell when it is installed, the runtime when the page names its files.
 * Bundles are kept by the page, which shows how far it is and says when there is no room.
 */
const VERSION = __VERSION__;
const APP = `app-${VERSION}`;
const BUNDLES = 'bundles';

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(APP).then((cache) => cache.addAll(__SHELL__)));
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== APP && name !== BUNDLES) await caches.delete(name);
    await self.clients.claim();
  })());
});

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url), {scope} = self.registration;
  if (event.request.method !== 'GET' || !url.href.startsWith(scope)) return;
  const file = url.href.slice(scope.length).split(/[?#]/)[0];
  if (!file.startsWith('bundles')) event.respondWith(cacheFirst(event.request));
});

self.addEventListener('message', (event) => {
  const [port] = event.ports;
  event.waitUntil(keep(event.data.keep).then(() => port.postMessage(true), () => port.postMessage(false)));
});

async function cacheFirst(request) {
  return (await (await caches.open(APP)).match(request, {ignoreSearch: true})) ?? fetch(request);
}

async function keep(addresses) {
  const cache = await caches.open(APP);
  for (const address of addresses) if (!(await cache.match(address))) await cache.add(address);
}
