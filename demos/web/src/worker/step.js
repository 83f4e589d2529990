/** One step of decoding: a signature's tensors, and how they change: `keras_attn.device.search.kv_cache`, which lists their roles. */
import {BundleError} from './errors.js';
import {Scores} from './scores.js';

export const NOT_ATTENDED = -1e9;
const KINDS = ['key', 'value'];

export class Step {
  /**
   * @param {import('./runtime.js').Signature} signature
   * @param {import('./runtime.js').Signature} encode
   * @param {number} rows
   * @param {number} target the most target tokens
   */
  constructor(signature, encode, rows, target) {
    Object.assign(this, {signature, rows, target, slots: rows * target});
    this.used = 0; // slots, the first ones
    const inputs = {...signature.inputs}, outputs = {...signature.outputs};
    const take = (tensors, name) => {
      const tensor = tensors[name] ?? null;
      delete tensors[name];
      return tensor;
    };
    this.tokens = this.shaped('tokens', take(inputs, 'tokens'), [rows]);
    this.scores = this.shaped('scores', take(outputs, 'scores'), [rows, null]);
    this.normalizer = take(outputs, 'normalizer');
    if (this.normalizer) this.shaped('normalizer', this.normalizer, [rows, 1]);
    this.topTokens = take(outputs, 'top_tokens');
    this.topScores = take(outputs, 'top_scores');
    if (this.topTokens) this.shaped('top_scores', this.topScores, this.topTokens.shape);
    this.alignment = take(outputs, 'alignment');
    this.position = take(inputs, 'position');
    this.selfBias = take(inputs, 'self_bias');
    if (this.selfBias) this.shaped('self_bias', this.selfBias, [rows, this.slots]);
    this.caches = this.findCaches(inputs, outputs);
    this.rowCaches = [];
    this.slot = inputs.slot ?? null;
    this.carried = [];
    this.constants = [];
    this.zeroed = [];
    this.forbidden = this.selfBias ? [this.selfBias] : [];
    for (const [name, tensor] of Object.entries(inputs)) this.giveRole(name, tensor, encode.outputs[name], outputs);
    if (Object.keys(outputs).length) {
      throw new BundleError(`signature '${signature.name}': outputs ${Object.keys(outputs)} have no role`);
    }
  }

  giveRole(name, tensor, encoded, outputs) {
    const after = outputs[`next_${name}`];
    if (after) {
      delete outputs[`next_${name}`];
      this.shaped(`next_${name}`, after, tensor.shape);
      this.shaped(name, tensor, [this.rows, ...tensor.shape.slice(1)]);
      this.carried.push([tensor, after]);
      if (!encoded) this.zeroed.push(tensor);
    } else if (outputs[`row_${name}`]) {
      this.rowCaches.push(this.rowCache(name, tensor, outputs[`row_${name}`]));
      delete outputs[`row_${name}`];
      if (!encoded) this.zeroed.push(tensor);
    } else if (!encoded) {
      throw new BundleError(
        `signature '${this.signature.name}': input '${name}' has no role: encode has no output of that name, ` +
          `and the step no output 'next_${name}' or 'row_${name}'`);
    }
    if (encoded) {
      if (!this.rowCaches.some(({cache}) => cache === tensor)) this.checkPart(name, tensor, encoded);
      this.constants.push([tensor, encoded]);
      if (name.endsWith('_bias')) this.forbidden.push(tensor);
    }
  }

  /** Pairs each cache (H, dh, R*T) with the output (R, 2*H*dh) that holds what the step adds to it. */
  findCaches(inputs, outputs) {
    const caches = [], used = new Set();
    for (const name of Object.keys(inputs)) {
      const match = /^(.*)_cache_(.*)$/.exec(name);
      if (!match) continue;
      const kind = KINDS.indexOf(match[1]), row = `row_${match[2]}`;
      if (kind < 0 || !outputs[row]) {
        throw new BundleError(`signature '${this.signature.name}': input '${name}' needs an output '${row}'`);
      }
      const cache = this.shaped(name, inputs[name], [null, null, this.slots]);
      const size = cache.shape[0] * cache.shape[1];
      this.shaped(row, outputs[row], [this.rows, 2 * size]);
      caches.push({cache, added: outputs[row], kind, size});
      used.add(row);
      delete inputs[name];
    }
    for (const row of used) delete outputs[row];
    return caches;
  }

  /** Describes a cache [R, ..., T, ...] whose row, the output [R, ..., 1, ...], is written where `slot` [R] says. */
  rowCache(name, cache, added) {
    this.shaped('slot', this.slot, [this.rows]);
    this.shaped(name, cache, [this.rows, ...cache.shape.slice(1)]);
    const different = cache.shape.findIndex((size, i) => size !== added.shape[i]);
    // With room for one row all axes are equal, and any of size 1 will do.
    const axis = different < 0 ? added.shape.indexOf(1, 1) : different;
    this.shaped(`row_${name}`, added, cache.shape.map((size, i) => (i === axis ? 1 : size)));
    const product = (sizes) => sizes.reduce((all, size) => all * size, 1);
    const inner = product(cache.shape.slice(axis + 1));
    return {cache, added, room: cache.shape[axis], lines: product(cache.shape.slice(0, axis)) / this.rows, inner};
  }

  /** Checks that an encode output fills an input, or its beginning where a bias forbids the rest. */
  checkPart(name, tensor, encoded) {
    const wanted = encoded.shape[0] === 1 ? [1, ...tensor.shape.slice(1)] : tensor.shape;
    const forbids = Object.keys(this.signature.inputs).some((other) => other.endsWith('_bias') && other !== 'self_bias');
    const fits = encoded.shape.length === wanted.length &&
      encoded.shape.every((size, i) => size === wanted[i] || (size < wanted[i] && forbids));
    if (!fits) {
      throw new BundleError(
        `signature '${this.signature.name}': input '${name}' is [${tensor.shape}], but the encode output is ` +
          `[${encoded.shape}]`);
    }
  }

  shaped(name, tensor, shape) {
    if (!tensor) throw new BundleError(`signature '${this.signature.name}' lacks '${name}'`);
    const fits = tensor.shape.length === shape.length &&
      shape.every((size, i) => size === null || size === tensor.shape[i]);
    if (!fits) {
      throw new BundleError(
        `signature '${this.signature.name}': '${name}' is [${tensor.shape}], but [${shape}] is needed`);
    }
    return tensor;
  }

  /** Computes the step; what it returns is kept where the next one reads it. */
  async run(tokens, position) {
    this.tokens.array.set(tokens);
    if (this.position) this.position.array[0] = position;
    await this.signature.run();
    this.keep();
    return new Scores({
      logits: this.scores.array,
      vocabulary: this.scores.shape[1],
      normalizer: this.normalizer?.array ?? null,
      topTokens: this.topTokens?.array ?? null,
      topLogits: this.topTokens ? this.topScores.array : null,
      top: this.topTokens?.shape[1] ?? 0,
    });
  }

  /** Whether there are too few slots left for another step. */
  get full() {
    return this.used + this.rows > this.slots;
  }

  /** Fills the inputs with what encode left. */
  begin() {
    this.used = 0;
    for (const tensor of this.zeroed) tensor.array.fill(0);
    for (const tensor of this.forbidden) tensor.array.fill(NOT_ATTENDED);
    for (const [tensor, encoded] of this.constants) fillBeginning(tensor, encoded);
  }

  /** Takes over a sentence from a step with fewer slots. */
  goOn(smaller) {
    this.begin();
    const used = this.used = smaller.used;
    const copy = (to, from, lines) => {
      const target = to.array, source = from.array, wide = target.length / lines, narrow = source.length / lines;
      for (let line = 0; line < lines; line++) {
        target.set(source.subarray(line * narrow, line * narrow + used), line * wide);
      }
    };
    if (this.selfBias && smaller.selfBias) copy(this.selfBias, smaller.selfBias, this.rows);
    this.caches.forEach(({cache, size}, i) => copy(cache, smaller.caches[i].cache, size));
    this.rowCaches.forEach(({cache}, i) => fillBeginning(cache, smaller.rowCaches[i].cache));
    this.carried.forEach(([tensor], i) => tensor.array.set(smaller.carried[i][0].array));
  }

  /** Frees the slots from which none of the first `rows` rows descends: beams soon share most of their past. */
  forget(rows) {
    if (rows === 1 || !this.selfBias) return;
    const {slots, used} = this, bias = this.selfBias.array;
    const attended = (slot) => {
      for (let row = 0; row < rows; row++) if (bias[row * slots + slot] === 0) return true;
      return false;
    };
    const kept = Array.from({length: used}, (_, slot) => slot).filter(attended);
    const moved = kept.filter((slot, i) => slot !== i), first = kept.length - moved.length;
    this.used = kept.length;
    for (const {array} of [this.selfBias, ...this.caches.map(({cache}) => cache)]) {
      for (let line = 0; line < array.length; line += slots) {
        for (let i = 0; i < moved.length; i++) array[line + first + i] = array[line + moved[i]];
      }
    }
    for (let line = 0; line < bias.length; line += slots) bias.fill(NOT_ATTENDED, line + this.used, line + used);
  }

  keep() {
    const {rows, slots} = this, first = this.used;
    this.used += rows;
    for (const {cache, added, kind, size} of this.caches) {
      const to = cache.array, from = added.array;
      for (let row = 0; row < rows; row++) {
        const begin = (2 * row + kind) * size;
        for (let place = 0; place < size; place++) to[place * slots + first + row] = from[begin + place];
      }
    }
    if (this.selfBias) {
      // Row r may attend what it has just been fed: one diagonal of the R x R block.
      const bias = this.selfBias.array;
      for (let row = 0; row < rows; row++) bias[row * slots + first + row] = 0;
    }
    for (const {cache, added, room, lines, inner} of this.rowCaches) {
      for (let line = 0; line < rows * lines; line++) {
        const slot = this.slot.array[Math.floor(line / lines)], row = added.array;
        if (slot < room) cache.array.set(row.subarray(line * inner, (line + 1) * inner), (line * room + slot) * inner);
      }
    }
    for (const [tensor, after] of this.carried) tensor.array.set(after.array);
  }

  /** Lets row i continue what row `rows[i]` has been fed. */
  reorder(rows) {
    const tensors = this.carried.map(([tensor]) => tensor);
    if (this.selfBias) tensors.push(this.selfBias);
    if (rows.some((row, i) => row !== i)) tensors.push(...this.rowCaches.map(({cache}) => cache));
    for (const tensor of tensors) {
      const array = tensor.array, size = array.length / this.rows, before = array.slice();
      rows.forEach((row, i) => array.set(before.subarray(row * size, (row + 1) * size), i * size));
    }
  }
}

/** Fills the beginning of `to` along each dimension with `from`, as far as it reaches; its one row may stand for all. */
function fillBeginning(to, from) {
  const target = to.array, source = from.array;
  const fill = (dimension, at, read) => {
    const room = to.shape.slice(dimension + 1).reduce((product, size) => product * size, 1);
    const size = from.shape.slice(dimension + 1).reduce((product, size) => product * size, 1);
    if (dimension === to.shape.length - 1) {
      target.set(source.subarray(read, read + Math.min(from.shape[dimension], to.shape[dimension])), at);
      return;
    }
    const shared = dimension === 0 && from.shape[0] === 1;
    const count = shared ? to.shape[0] : Math.min(from.shape[dimension], to.shape[dimension]);
    for (let i = 0; i < count; i++) {
      fill(dimension + 1, at + i * room, read + (shared ? 0 : i * size));
    }
  };
  fill(0, 0, 0);
}
