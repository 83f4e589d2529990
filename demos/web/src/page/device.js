/** The page's end of the worker: questions out, answers and progress back. */

export class Device {
  constructor() {
    // A classic worker, as LiteRT.js needs one.
    this.worker = new Worker('worker.js');
    this.waiting = new Map();
    this.asked = 0;
    this.worker.onmessage = ({data}) => this.receive(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.fail(new Error(event.message || 'The worker could not be loaded.'));
    };
  }

  /**
   * @param {string} call
   * @param {object} [given]
   * @param {{transfer?: Transferable[], onProgress?: (progress: any) => void}} [options]
   * @returns {Promise<{result: any, ms: number, memory: number}>}
   */
  ask(call, given = {}, {transfer = [], onProgress = () => {}} = {}) {
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, {resolve, reject, onProgress});
      this.worker.postMessage({id, call, ...given}, transfer);
    });
  }

  receive({id, progress, error, ...answer}) {
    const {resolve, reject, onProgress} = this.waiting.get(id) ?? {};
    if (!resolve) return;
    if (progress !== undefined) {
      onProgress(progress);
      return;
    }
    this.waiting.delete(id);
    if (error) reject(Object.assign(new Error(error.message), {name: error.name}));
    else resolve(answer);
  }

  fail(error) {
    for (const {reject} of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  /** Ends the worker, which gives its memory back. */
  end() {
    this.worker.terminate();
    this.fail(Object.assign(new Error('Ended.'), {name: 'Stopped'}));
  }
}
