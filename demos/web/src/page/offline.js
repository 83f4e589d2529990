/** The service worker, which keeps the app and its runtime on this device. */

/** Whether this address may keep anything: browsers want HTTPS, or localhost. */
export const canKeep = self.isSecureContext && 'serviceWorker' in navigator && 'caches' in self;

/**
 * Keeps the app, which the service worker does when it is installed, and the runtime.
 * @param {string[]} runtime addresses of the files that the runtime was loaded from
 * @returns {Promise<boolean>} whether all of it is kept; not, if there is no room
 */
export async function keepApp(runtime) {
  if (!canKeep) return false;
  const {active, waiting, installing} = await navigator.serviceWorker.register('sw.js');
  const worker = active ?? waiting ?? installing;
  if (!(await activated(worker))) return false;
  const {port1, port2} = new MessageChannel();
  const answer = new Promise((resolve) => { port1.onmessage = ({data}) => resolve(data); });
  worker.postMessage({keep: runtime}, [port2]);
  return answer;
}

/** Calls back when another service worker has taken over: an app that was written again is kept anew. */
export function onTakeover(callback) {
  if (canKeep) navigator.serviceWorker.addEventListener('controllerchange', callback);
}

function activated(worker) {
  return new Promise((resolve) => {
    const look = () => {
      if (worker.state === 'activated') resolve(true);
      if (worker.state === 'redundant') resolve(false); // its files could not be kept
    };
    worker.addEventListener('statechange', look);
    look();
  });
}
