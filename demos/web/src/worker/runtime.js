/**
 * The only file that knows LiteRT.js: a model's signatures as arrays to write, run and read.
 *
 * An input is one buffer of the runtime's memory that lives as long as the model: what is written stays from
 * run to run, so that caches never move. Each run returns fresh output buffers, which the next run deletes.
 */
import {getGlobalLiteRt, loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';

import {BundleError} from './errors.js';

/** Name and version as the manifest's `runtimes` have them; the build fills the version in. */
export const RUNTIME = {name: '@litertjs/core', version: __LITERT_VERSION__};

const ARRAYS = {float32: Float32Array, int32: Int32Array};

/**
 * Loads the runtime's WebAssembly, once per worker.
 * @param {string} folder URL of the runtime's files, ending in a slash
 */
export async function startRuntime(folder) {
  self.Module = {locateFile: (file) => folder + file};
  // Threads need an address with COOP and COEP, which most static hosts do not give.
  await loadLiteRt(folder, {threads: false});
}

/** Bytes of memory the runtime holds; it grows and never shrinks. */
export function runtimeBytes() {
  return wasm().HEAPU8.byteLength;
}

function wasm() {
  return getGlobalLiteRt().liteRtWasm;
}

/** A tensor's memory, as a typed array with a shape. */
class View {
  /**
   * @param {{name: string, dtype: string, shape: Int32Array}} details
   */
  constructor({name, dtype, shape}) {
    this.name = name;
    this.dtype = dtype;
    this.shape = Array.from(shape);
    this.size = this.shape.reduce((product, size) => product * size, 1);
    this.address = 0;
    this.kept = null;
  }

  /** @param {Tensor} tensor what to show from now on */
  show(tensor, mode) {
    const buffer = tensor.liteRtTensorBuffer;
    this.address = buffer.lock(mode);
    buffer.unlock();
    this.kept = null;
  }

  /** @returns {Float32Array | Int32Array} valid until the next run, since the memory may grow and move */
  get array() {
    const memory = wasm().HEAPU8.buffer;
    if (this.kept?.buffer !== memory) {
      this.kept = new ARRAYS[this.dtype](memory, this.address, this.size);
    }
    return this.kept;
  }
}

/** One signature of a model. `inputs` and `outputs` are views by name. */
export class Signature {
  constructor(runner, name, where) {
    this.name = name;
    this.where = where;
    this.runner = runner;
    this.tensors = [];
    this.results = [];
    this.inputs = {};
    this.outputs = {};
    const modes = wasm().LiteRtTensorBufferLockMode;
    this.readMode = modes.READ;
    for (const details of runner.getInputDetails()) {
      const view = this.inputs[details.name] = this.checked(details);
      // Fresh memory may hold NaN, which no mask removes.
      const tensor = new Tensor(new ARRAYS[view.dtype](view.size), view.shape);
      view.show(tensor, modes.WRITE);
      this.tensors.push(tensor);
    }
    this.outputViews = runner.getOutputDetails().map((details) => this.checked(details));
    for (const view of this.outputViews) this.outputs[view.name] = view;
  }

  checked(details) {
    if (!(details.dtype in ARRAYS)) {
      throw new BundleError(
        `${this.where}: tensor '${details.name}' of signature '${this.name}' is ${details.dtype}; ` +
          'only int32 and float32 are supported.');
    }
    return new View(details);
  }

  /** Computes the outputs from the inputs. */
  async run() {
    this.forget();
    try {
      this.results = await this.runner.run(this.tensors);
    } catch (error) {
      throw new BundleError(`${this.where}: signature '${this.name}' failed to run: ${error.message}`);
    }
    this.results.forEach((tensor, i) => this.outputViews[i].show(tensor, this.readMode));
  }

  forget() {
    for (const tensor of this.results) tensor.delete();
    this.results = [];
  }
}

/** A model file in the runtime. A signature takes memory when it is first asked for. */
export class Model {
  /**
   * @param {Uint8Array} content a `.tflite` file
   * @param {string} where what errors call it
   */
  static async open(content, where) {
    try {
      return new Model(await loadAndCompile(content, {accelerator: 'wasm'}), where);
    } catch (error) {
      throw new BundleError(`${where} is not a model that LiteRT.js runs: ${String(error?.message ?? error)}`);
    }
  }

  constructor(compiled, where) {
    this.compiled = compiled;
    this.where = where;
    this.ready = new Map();
  }

  /** @returns {string[]} names of the signatures, sorted */
  get signatures() {
    return Object.keys(this.compiled.signatures).sort();
  }

  /** @param {string} name */
  signature(name) {
    if (!this.ready.has(name)) {
      const runner = this.compiled.signatures[name];
      if (!runner) throw new BundleError(`${this.where} has no signature '${name}'.`);
      this.ready.set(name, new Signature(runner, name, this.where));
    }
    return this.ready.get(name);
  }
}
