/** The step protocol over a bundle's signatures: `keras_attn.device.search.decoder`, one sentence at a time. */
import {BundleError, InputError} from './errors.js';
import {Step} from './step.js';

/** One sentence being decoded. It lives in the runtime's memory, so there is one at a time. */
class State {
  constructor(bucket, sourceLength) {
    this.bucket = bucket;
    this.sourceLength = sourceLength;
    this.current = null;
    this.rows = 1;
    this.position = 0;
  }

  /** Name of the step signature in use. */
  get signature() {
    return this.current?.signature.name ?? null;
  }

  /** @returns {Float32Array | null} a copy of the last step's attention of a row over the source */
  alignment(row) {
    const tensor = this.current?.alignment;
    if (!tensor) return null;
    const width = tensor.shape[1];
    const attention = new Float32Array(this.sourceLength);
    attention.set(tensor.array.subarray(row * width, row * width + Math.min(width, this.sourceLength)));
    return attention;
  }

  /** Lets row i continue row `rows[i]`. */
  select(rows) {
    if (!this.current) {
      this.current = this.bucket.firstStep(rows.length);
      this.current.begin();
    } else {
      this.current.reorder(rows);
    }
    this.rows = rows.length;
  }

  /** Feeds one token per row and returns the Scores, which the next step overwrites. */
  async step(tokens) {
    if (!this.current) this.select([0]);
    if (this.current.full) this.current.forget(this.rows);
    if (this.current.full || this.position === this.bucket.room(this.current.rows)) this.grow();
    const scores = await this.current.run(tokens, this.position);
    this.position += 1;
    return scores;
  }

  /** Moves the sentence to the next larger step with the same number of rows. */
  grow() {
    const {current} = this;
    const larger = this.bucket.step(current.rows, Math.max(current.target, this.position) + 1);
    if (!larger) {
      const room = this.bucket.room(current.rows);
      throw new InputError(`Signature '${this.signature}' takes at most ${room} target tokens.`);
    }
    larger.goOn(current);
    this.current = larger;
  }
}

/** The signatures for sources of up to `source` tokens; a step is made ready when first used. */
class Bucket {
  constructor(model, layout, padId) {
    Object.assign(this, {model, padId, source: layout.source, target: layout.target, encodeName: layout.encode});
    const byNumber = (one, other) => one[0] - other[0];
    const numbered = (object) => Object.entries(object).map(([number, value]) => [Number(number), value]);
    /** Number of rows, and [target tokens, signature], both ascending. */
    this.names = new Map(
      numbered(layout.steps).sort(byNumber).map(([rows, targets]) => [rows, numbered(targets).sort(byNumber)]));
    this.steps = new Map();
  }

  get encode() {
    return this.model.signature(this.encodeName);
  }

  firstStep(rows) {
    const room = [...this.names.keys()].find((count) => count >= rows);
    if (room === undefined) {
      throw new InputError(`beam is ${rows}, but this bundle was exported for a beam of at most ${Math.max(...this.names.keys())}.`);
    }
    return this.step(room, 1);
  }

  /** @returns {Step | null} the smallest step of `rows` rows that takes `target` target tokens */
  step(rows, target) {
    const [room, name] = this.names.get(rows).find(([size]) => size >= target) ?? [];
    if (!name) return null;
    if (!this.steps.has(name)) this.steps.set(name, new Step(this.model.signature(name), this.encode, rows, room));
    return this.steps.get(name);
  }

  /** @returns {number} the most target tokens of any step of `rows` rows */
  room(rows) {
    return this.names.get(rows).at(-1)[0];
  }

  async start(sourceIds) {
    const {encode} = this;
    const {token_ids: ids, source_mask: mask} = encode.inputs;
    if (ids?.size !== this.source || mask?.size !== this.source) {
      throw new BundleError(
        `signature '${encode.name}' must take token_ids and source_mask of shape [1, ${this.source}]`);
    }
    ids.array.fill(this.padId).set(sourceIds);
    mask.array.fill(0).fill(1, 0, sourceIds.length);
    await encode.run();
  }
}

/** A step model over the signatures of a bundle. */
export class StepModel {
  /**
   * @param {import('./runtime.js').Model} model
   * @param {object[]} buckets the manifest's, ascending
   * @param {number} padId what fills a source up to its bucket's length
   */
  constructor(model, buckets, padId) {
    this.buckets = buckets.map((bucket) => new Bucket(model, bucket, padId));
  }

  get maxSourceTokens() {
    return Math.max(...this.buckets.map((bucket) => bucket.source));
  }

  get maxTargetTokens() {
    return Math.max(...this.buckets.map((bucket) => bucket.target));
  }

  /** @returns {number[]} numbers of rows for which there are step signatures, ascending */
  get rowCounts() {
    const counts = new Set(this.buckets.flatMap((bucket) => [...bucket.names.keys()]));
    return [...counts].sort((one, other) => one - other);
  }

  /** Makes every signature ready now, and so checks it. */
  prepare() {
    for (const bucket of this.buckets) {
      for (const [rows, targets] of bucket.names) for (const [target] of targets) bucket.step(rows, target);
    }
  }

  /**
   * Encodes one sentence.
   * @param {ArrayLike<number>} sourceIds
   * @param {number} maxLength the most steps that will follow
   */
  async start(sourceIds, maxLength) {
    const bucket = this.buckets.find(({source, target}) => source >= sourceIds.length && target >= maxLength);
    if (!bucket) {
      const tooLong = sourceIds.length > this.maxSourceTokens;
      throw new InputError(tooLong
        ? `${sourceIds.length} source tokens are more than the ${this.maxSourceTokens} of this bundle.`
        : `${maxLength} target tokens are more than the ${this.maxTargetTokens} of this bundle.`);
    }
    await bucket.start(sourceIds);
    return new State(bucket, sourceIds.length);
  }
}
