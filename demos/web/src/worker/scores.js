/** What a step says of the next token, as in `keras_attn.device.search.token_scores`. */

const BLOCK = 64;

/** Scores of the next token of R rows, valid until the model's next step. */
export class Scores {
  /**
   * @param {object} parts
   * @param {Float32Array} parts.logits R x V
   * @param {number} parts.vocabulary V
   * @param {Float32Array} [parts.normalizer] R, what makes log-probabilities of logits; none where they are some
   * @param {Int32Array} [parts.topTokens] R x K, the best tokens of each row
   * @param {Float32Array} [parts.topLogits] R x K, their logits, descending
   * @param {number} [parts.top] K
   */
  constructor({logits, vocabulary, normalizer = null, topTokens = null, topLogits = null, top = 0}) {
    Object.assign(this, {logits, vocabulary, normalizer, topTokens, topLogits, top});
  }

  /** @returns {number} the log-probability of one token */
  logProb(row, token) {
    const logit = this.logits[row * this.vocabulary + token];
    return this.normalizer === null ? logit : logit - this.normalizer[row];
  }

  /** @returns {Float32Array} the log-probabilities of one row, (V,) */
  row(row) {
    const logits = this.logits.slice(row * this.vocabulary, (row + 1) * this.vocabulary);
    if (this.normalizer !== null) {
      const normalizer = this.normalizer[row];
      for (let token = 0; token < logits.length; token++) logits[token] -= normalizer;
    }
    return logits;
  }

  /** @returns {number} a row's best token, passing over the suppressed ones; NaN counts as the best */
  best(row, suppress) {
    const {logits, vocabulary} = this;
    const first = row * vocabulary;
    let best = -1;
    for (let token = 0; token < vocabulary; token++) {
      const logit = logits[first + token];
      if (suppress.has(token)) continue;
      if (logit !== logit) return token;
      if (best < 0 || logit > logits[first + best]) best = token;
    }
    return best;
  }

  /**
   * Finds tokens of a row that hold its best `count` ones.
   * @returns {[number, number][]} tokens and their log-probabilities
   * @throws {RangeError} a score is NaN
   */
  candidates(row, count) {
    const found = this.topTokens !== null && this.top >= count ? this.given(row, count) : this.dense(row, count);
    if (this.normalizer === null) return found;
    const normalizer = this.normalizer[row];
    return found.map(([token, logit]) => [token, Math.fround(logit - normalizer)]);
  }

  given(row, count) {
    const first = row * this.top;
    return Array.from({length: count}, (_, i) => {
      const logit = this.topLogits[first + i];
      if (logit !== logit) throw new RangeError('NaN');
      return [this.topTokens[first + i], logit];
    });
  }

  /** The `count`-th best of the maxima of disjoint blocks is never better than the `count`-th best score. */
  dense(row, count) {
    const {vocabulary} = this;
    const logits = this.logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    const block = Math.min(BLOCK, Math.floor(vocabulary / count));
    let threshold = -Infinity;
    if (block > 1) {
      const blocks = Math.floor(vocabulary / block);
      const maxima = logits.slice(0, blocks);
      for (let i = blocks; i < blocks * block; i++) {
        const at = i % blocks;
        if (logits[i] > maxima[at] || logits[i] !== logits[i]) maxima[at] = logits[i];
      }
      threshold = maxima.sort()[blocks - count];
    }
    const found = [];
    for (let token = 0; token < vocabulary; token++) {
      const logit = logits[token];
      if (logit !== logit) throw new RangeError('NaN');
      if (logit >= threshold) found.push([token, logit]);
    }
    return found;
  }
}
