/** Compares a bundle with its proof: `keras_attn.device.proof.decoder_proof` and `encoder_proof`. */
import {BundleError} from './errors.js';
import {readNpz} from './npz.js';
import {search} from './search.js';
import {countedErrors} from './tolerance.js';
import {neverProduced} from './translator.js';

const TIE = 0.05; // as in keras_attn.device.proof.encoder_proof
const NO_TOKEN = -1;

/** The arrays of a proof, row by row. */
export class Proof {
  /**
   * @param {Uint8Array} content of `proof.npz`
   * @param {string[]} names the arrays that must be there
   */
  constructor(content, names) {
    const arrays = readNpz(content);
    for (const name of [...names, 'max_error', 'mean_error', 'min_token_agreement']) {
      if (!arrays[name]) throw new BundleError(`proof.npz lacks an array: ${name}`);
    }
    this.arrays = arrays;
    this.length = arrays.source_ids.shape[0];
    this.maxError = arrays.max_error.data[0];
    this.meanError = arrays.mean_error.data[0];
    this.minAgreement = arrays.min_token_agreement.data[0];
    this.logitSize = arrays.logit_size?.data[0] ?? 0;
  }

  /** @returns {number[]} row i of an array, as far as `lengths` says */
  row(name, i, lengths) {
    const {shape, data} = this.arrays[name], width = shape[1];
    return Array.from(data.subarray(i * width, i * width + (lengths ? this.arrays[lengths].data[i] : width)));
  }

  value(name, i) {
    return this.arrays[name].data[i];
  }

  source(i) {
    return this.row('source_ids', i, 'source_lengths');
  }

  target(i) {
    return this.row('target_ids', i, 'target_lengths');
  }

  /** @returns {[ArrayLike<number>, ArrayLike<number>]} ids and scores compared in text i, or at a step of it */
  checks(i, step) {
    const {shape} = this.arrays.check_ids, count = shape.at(-1);
    const first = (step === undefined ? i : i * shape[1] + step) * count;
    return ['check_ids', 'check_scores'].map((name) => this.arrays[name].data.subarray(first, first + count));
  }
}

export const STEP_ARRAYS = ['source_ids', 'source_lengths', 'target_ids', 'target_lengths', 'check_ids', 'check_scores'];
export const ENCODER_ARRAYS = ['source_ids', 'source_lengths', 'positions', 'best', 'check_ids', 'check_scores'];

/** Sums up differences; `place` is where the largest is. */
class Errors {
  /** @param {number} logitSize of the proof */
  constructor(logitSize) {
    this.logitSize = logitSize;
  }

  largest = -1;
  sum = 0;
  count = 0;
  worst = null;

  add(scores, [ids, wanted], place, embeds = false) {
    for (const difference of countedErrors(Array.from(ids, (id) => scores[id]), wanted, embeds, this.logitSize)) {
      if (!Number.isFinite(difference)) throw new BundleError(`${JSON.stringify(place)}: a score is not finite`);
      this.sum += difference;
      this.count += 1;
      if (difference > this.largest) [this.largest, this.worst] = [difference, place];
    }
  }

  get mean() {
    return this.sum / this.count;
  }
}

/**
 * Compares a step model with a proof, feeding the reference's tokens. With more than one row, the others are
 * fed other tokens, and the reference's row changes at every step: rows that mix show up as errors.
 */
export async function measure(steps, proof, special, rows, onProgress) {
  const errors = new Errors(proof.logitSize);
  let right = 0, total = 0, hits = 0;
  for (let i = 0; i < proof.length; i++) {
    const target = proof.target(i);
    for await (const {step, scores, signature} of forced(steps, proof, i, proof.source(i), special, rows)) {
      errors.add(scores, proof.checks(i, step), {sentence: i, step, signature});
      // The first token of some models is not theirs to choose.
      const best = (step === 0 ? special.first : null) ?? bestOf(scores, special);
      right += Number(best === target[step]);
      total += 1;
    }
    hits += Number(String(await greedy(steps, proof.source(i), target.length, special)) === String(target));
    await onProgress();
  }
  return {
    max_error: errors.largest,
    mean_error: errors.mean,
    token_agreement: right / total,
    greedy_agreement: hits / proof.length,
    sentences: proof.length,
    steps: total,
    worst: errors.worst,
  };
}

async function* forced(steps, proof, i, source, special, rows) {
  const target = proof.target(i);
  const state = await steps.start(source, target.length);
  if (rows > 1) state.select(new Array(rows).fill(0));
  let token = special.start, place = 0;
  for (let step = 0; step < target.length; step++) {
    // The other rows are fed tokens of the same target, so that they stay in the vocabulary.
    const tokens = Array.from({length: rows}, (_, row) =>
      row === place || !step ? token : target[(7 * row + 3 * step) % target.length]);
    const scores = await state.step(tokens);
    yield {step, scores: scores.row(place), signature: state.signature};
    token = target[step];
    if (rows > 1 && step + 1 < target.length) {
      const order = Array.from({length: rows}, (_, row) => (row + 1 + (step % (rows - 1))) % rows);
      state.select(order);
      place = order.indexOf(place);
    }
  }
}

function bestOf(scores, special) {
  const never = neverProduced(special);
  let best = -1;
  scores.forEach((score, token) => {
    if (!never.has(token) && (best < 0 || score > scores[best])) best = token;
  });
  return best;
}

async function greedy(steps, source, maxLength, special) {
  const state = await steps.start(source, maxLength);
  const [found] = await search(state, {
    startId: special.start, endId: special.end, maxLength, suppress: neverProduced(special),
    firstId: special.first ?? null,
  });
  return found.finished ? [...found.ids, special.end] : found.ids;
}

/** Measures how much the scores change when the source is reversed, the end token staying last. */
export async function turnedChange(steps, proof, special) {
  const changes = [];
  let outputs = 0;
  for (let i = 0; i < proof.length; i++) {
    const source = proof.source(i), turned = [...source.slice(0, -1).reverse(), source.at(-1)];
    if (String(turned) === String(source)) continue;
    const right = await checkedScores(steps, proof, i, source, special);
    const wrong = await checkedScores(steps, proof, i, turned, special);
    changes.push(mean(right.flatMap((scores, step) => countedErrors(wrong[step], scores))));
    const limit = proof.target(i).length;
    const outputsOf = async (ids) => String(await greedy(steps, ids, limit, special));
    outputs += Number((await outputsOf(source)) !== (await outputsOf(turned)));
  }
  return {sentences: changes.length, mean_change: changes, outputs_changed: changes.length ? outputs / changes.length : 0};
}

async function checkedScores(steps, proof, i, source, special) {
  const found = [];
  for await (const {step, scores} of forced(steps, proof, i, source, special, 1)) {
    found.push(Array.from(proof.checks(i, step)[0], (id) => scores[id]));
  }
  return found;
}

/** Compares an encoder with a proof, text by text, and each text's values with those of the next. */
export async function measureEncoder(encoder, proof, onProgress) {
  const errors = new Errors(proof.logitSize), results = [];
  let agreement = 0;
  const embeds = proof.arrays.best.data.every((best) => best === NO_TOKEN);
  if (proof.arrays.rows) return measureTokens(encoder, proof, errors, onProgress);
  for (let i = 0; i < proof.length; i++) {
    const source = proof.source(i), checks = proof.checks(i);
    const result = await encoder.run(source, proof.value('positions', i));
    errors.add(result, checks, {text: i, signature: encoder.signatureFor(source.length).encode}, embeds);
    const values = Array.from(checks[0], (id) => result[id]);
    const agrees = () => answerAgrees(indexOfMax(result), proof.value('best', i), checks);
    agreement += embeds ? cosine(values, checks[1]) : Number(agrees());
    results.push(result);
    await onProgress();
  }
  const changes = [];
  results.forEach((result, i) => {
    const following = (i + 1) % results.length;
    if (String(proof.source(i)) === String(proof.source(following))) return;
    const [ids] = proof.checks(i), [own, others] = [result, results[following]].map(
      (values) => Array.from(ids, (id) => values[id]));
    changes.push(mean(countedErrors(others, own, embeds)));
  });
  const figures = {
    max_error: errors.largest,
    mean_error: errors.mean,
    agreement: agreement / proof.length,
    texts: proof.length,
    worst: errors.worst,
  };
  return {figures, changes, embeds};
}

/** Compares an encoder of tokens with a proof: some rows of each text's matrix, and some values of each. */
async function measureTokens(encoder, proof, errors, onProgress) {
  const [, rows] = proof.arrays.check_ids.shape, results = [];
  let agreement = 0;
  for (let i = 0; i < proof.length; i++) {
    const source = proof.source(i), result = matrix(encoder, await encoder.run(source, 0), source.length);
    const chosen = proof.row('rows', i), best = proof.row('best', i);
    for (let row = 0; row < rows; row++) {
      const checks = proof.checks(i, row);
      if (chosen[row] >= result.length || Math.max(...checks[0]) >= result[0].length) {
        throw new BundleError(`text ${i}: the proof compares values that the model does not return`);
      }
      errors.add(result[chosen[row]], checks, {text: i, signature: encoder.signatureFor(source.length).encode});
      agreement += Number(answerAgrees(indexOfMax(result[chosen[row]]), best[row], checks));
    }
    results.push(result);
    await onProgress();
  }
  const changes = [];
  results.forEach((result, i) => {
    const following = (i + 1) % results.length;
    if (String(proof.source(i)) === String(proof.source(following))) return;
    const chosen = proof.row('rows', i), found = [];
    for (let row = 0; row < rows; row++) {
      const [ids] = proof.checks(i, row);
      const [here, there] = [result, results[following]].map((each) =>
        Array.from(ids, (id) => each[chosen[row] % each.length][id % each[0].length]));
      found.push(...countedErrors(there, here));
    }
    changes.push(mean(found));
  });
  const figures = {
    max_error: errors.largest,
    mean_error: errors.mean,
    agreement: agreement / (proof.length * rows),
    texts: proof.length,
    worst: errors.worst,
  };
  return {figures, changes, embeds: false};
}

/** The rows of a text's result: its tokens with their labels, or start and end with the tokens. */
function matrix(encoder, result, length) {
  const width = encoder.scoresPositions ? length : result.length / length;
  return Array.from({length: result.length / width}, (_, row) => result.subarray(row * width, (row + 1) * width));
}

/** Whether an answer is the reference's best, or as good for the reference. */
function answerAgrees(answer, best, [ids, scores]) {
  const there = ids.indexOf(answer);
  return answer === best || (there >= 0 && Math.max(...scores) - scores[there] <= TIE);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function indexOfMax(values) {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

function cosine(one, other) {
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const wanted = Array.from(other);
  return dot(one, wanted) / Math.max(Math.sqrt(dot(one, one) * dot(wanted, wanted)), 1e-12);
}
