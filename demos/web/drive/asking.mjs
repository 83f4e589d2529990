/** Asks the app's worker directly, as its page does: for whole corpora, and for the proof. */

/**
 * Opens a bundle of the site in a worker of the page; questions go to `ask` then.
 * @param {import('playwright-core').Page} page on any address of the site
 * @param {string} [name] of the bundle; the first one otherwise
 */
export async function openBundle(page, name) {
  return page.evaluate(async (wanted) => {
    const entries = await (await fetch('bundles.json')).json();
    const {folder} = entries.find((entry) => !wanted || entry.name === wanted);
    const manifest = await (await fetch(`${folder}/manifest.json`)).json();
    const names = ['model.tflite', 'tokenizer.json', 'target_tokenizer.json', 'proof.npz'];
    const files = {};
    for (const file of names.filter((each) => each in manifest.files)) {
      files[file] = await (await fetch(`${folder}/${file}`)).arrayBuffer();
    }
    self.opened?.terminate();
    const worker = self.opened = new Worker('worker.js');
    let asked = 0;
    self.askWorker = (call, given) => new Promise((resolve, reject) => {
      const id = ++asked;
      worker.addEventListener('message', function listen({data}) {
        if (data.id !== id || data.progress !== undefined) return;
        worker.removeEventListener('message', listen);
        if (data.error) reject(new Error(data.error.message));
        else resolve(data);
      });
      worker.postMessage({id, call, ...given});
    });
    return (await self.askWorker('open', {manifest, files})).result;
  }, name);
}

/** @returns {Promise<any>} the worker's answer, `{result, ms, memory}` */
export function ask(page, call, given = {}) {
  return page.evaluate(([name, more]) => self.askWorker(name, more), [call, given]);
}
