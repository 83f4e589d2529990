/**
 * Keeps the app for offline use: its shell when it is installed, the runtime when it is first loaded. Bundles
 * are kept by the page, which shows how far it is and says when there is no room.
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

async function cacheFirst(request) {
  const cache = await caches.open(APP);
  return (await cache.match(request, {ignoreSearch: true})) ?? kept(cache, request);
}

async function kept(cache, request) {
  const response = await fetch(request);
  // Without room the app still works; the page tells that it is not kept.
  if (response.status === 200) cache.put(request, response.clone()).catch(() => {});
  return response;
}
