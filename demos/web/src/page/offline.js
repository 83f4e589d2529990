/** The service worker, and whether everything a bundle needs is kept on this device. */

const PATIENCE = 2500; // ms to wait for the service worker before the runtime is loaded without it

/** Whether this address may keep anything: browsers want HTTPS, or localhost. */
export const canKeep = self.isSecureContext && 'serviceWorker' in navigator && 'caches' in self;

/** Starts the service worker; resolves when it sees what the page loads, or when that takes too long. */
export async function controlled() {
  if (!canKeep) return;
  const {serviceWorker} = navigator;
  const ready = serviceWorker.controller
    ? Promise.resolve()
    : new Promise((resolve) => serviceWorker.addEventListener('controllerchange', resolve, {once: true}));
  await serviceWorker.register('sw.js').catch(() => {});
  await Promise.race([ready, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
}

/** @returns {Promise<boolean>} whether the app and its runtime are kept */
export async function appKept() {
  if (!canKeep) return false;
  const wasm = await findKept(/\.wasm$/);
  return wasm && (await caches.match('./', {ignoreSearch: true})) !== undefined;
}

async function findKept(pattern) {
  for (const name of await caches.keys()) {
    const requests = await (await caches.open(name)).keys();
    if (requests.some(({url}) => pattern.test(url))) return true;
  }
  return false;
}
