/**
 * Greedy and beam search over any step model, for one sentence: `keras_attn.device.search.search`, line by line.
 *
 * A step model has `start(sourceIds, maxLength)`, which returns a state, and a state has `step(tokens)`, which
 * returns Scores, `select(rows)` and `alignment(row)`.
 */
import {InputError} from './errors.js';

/**
 * @typedef {object} Hypothesis
 * @property {number[]} ids the produced tokens, without the start and the end token
 * @property {number} score the log-probability divided by the length to the power of the length penalty
 * @property {number} logProb sum of the log-probabilities, the end token included
 * @property {boolean} finished whether the end token was produced before the length limit
 * @property {Float32Array[]} alignment the attention with which each id was produced; empty if there is none
 *
 * @typedef {object} Options
 * @property {number} startId the token every target starts with
 * @property {number} endId the token that ends a target
 * @property {number} [beam] the beam size; 1 is greedy search
 * @property {number} maxLength the most tokens to produce, the end token counted
 * @property {number} [lengthPenalty] exponent of the length that divides a log-probability
 * @property {number} [nBest] hypotheses to return, at most `beam`
 * @property {boolean} [alignments] whether to keep the model's attention
 * @property {Set<number>} [suppress] tokens that are never produced
 * @property {boolean} [forceEnd] whether a hypothesis that reaches `maxLength` counts as finished
 * @property {boolean} [earlyStopping] whether the search ends as soon as `beam` hypotheses have finished; if not,
 *     what is unfinished at `maxLength` competes with them
 * @property {number | null} [firstId] the token that every target begins with, at no cost
 * @property {number} [minLength] tokens to produce before the end token may come
 * @property {number} [noRepeatNgram] length of the sequences of tokens that a target may have only once; 0: no rule
 * @property {(ids: number[]) => void | Promise<void>} [onStep] called with the best tokens so far, after each step
 */

/**
 * Finds the most probable target sequences of a sentence.
 * @param {object} state of a step model, just started
 * @param {Options} options
 * @returns {Promise<Hypothesis[]>} at most `nBest`, the best first; with `earlyStopping` unfinished ones after the
 *     finished ones
 */
export async function search(state, options) {
  const {beam = 1, nBest = 1, lengthPenalty = 1, maxLength, endId, suppress = new Set()} = options;
  for (const [name, value] of Object.entries({beam, nBest, maxLength})) {
    if (!Number.isInteger(value) || value < 1) throw new InputError(`${name} must be a whole number of at least 1.`);
  }
  if (nBest > beam) throw new InputError(`nBest is ${nBest}, but a beam of ${beam} finds only ${beam}; increase beam.`);
  if (!(Number.isFinite(lengthPenalty) && lengthPenalty >= 0)) {
    throw new InputError('lengthPenalty must be a finite number of at least 0.');
  }
  if (suppress.has(endId)) throw new InputError('suppress must not hold the end token.');
  const defaults = {forceEnd: false, earlyStopping: true, alignments: false, firstId: null, minLength: 0, noRepeatNgram: 0, onStep: () => {}};
  const run = {...defaults, ...options, beam, nBest, lengthPenalty, suppress};
  return beam === 1 ? [await greedy(run, state)] : beamSearch(run, state);
}

function hypothesis(run, ids, logProb, finished, alignment) {
  const score = logProb / (ids.length + Number(finished)) ** run.lengthPenalty;
  return {ids, score, logProb, finished, alignment};
}

/** The token that must come at a step of a sentence, if the search decides it. */
function decided(run, step) {
  if (run.forceEnd && step + 1 === run.maxLength) return run.endId;
  return step === 0 ? run.firstId : null;
}

/** The tokens that must not follow what has been produced: `forbidden_tokens`. */
function forbidden(run, ids) {
  const found = new Set(ids.length < run.minLength ? [run.endId] : []);
  const before = run.noRepeatNgram - 1; // tokens of a sequence that have come when its last one is chosen
  if (before < 0) return found;
  const fed = [run.startId, ...ids], last = fed.length - before;
  for (let at = before; at < fed.length; at++) {
    let same = true;
    for (let i = 0; same && i < before; i++) same = last >= 0 && fed[at - before + i] === fed[last + i];
    if (same) found.add(fed[at]);
  }
  return found;
}

function notNumbers(step) {
  return new InputError(`The model's scores at step ${step} are not numbers (NaN).`);
}

async function greedy(run, state) {
  const ids = [], alignment = [];
  let token = run.startId, logProb = 0, finished = false;
  for (let step = 0; step < run.maxLength && !finished; step++) {
    const scores = await state.step([token]);
    const must = decided(run, step);
    token = must ?? scores.best(0, new Set([...run.suppress, ...forbidden(run, ids)]));
    const score = must === null ? scores.logProb(0, token) : 0;
    if (score !== score) throw notNumbers(step);
    logProb += score;
    finished = token === run.endId;
    if (finished) break;
    ids.push(token);
    if (run.alignments && state.alignment(0)) alignment.push(state.alignment(0));
    await run.onStep(ids);
  }
  return hypothesis(run, ids, logProb, finished, alignment);
}

/** The history of every row: one entry per step and row, followed backwards to read a hypothesis. */
class History {
  steps = [];

  /** Keeps the chosen tokens, the rows that they continue, and the attention of the previous rows. */
  add(tokens, parents, attention) {
    this.steps.push({tokens, parents, attention});
  }

  /** @returns what `row` holds before step `end`; `attention` is that of step `end`, not yet added */
  path(end, row) {
    const ids = [], alignment = [];
    for (let at = end - 1; at >= 0; at--) {
      const {tokens, parents, attention} = this.steps[at];
      ids.push(tokens[row]);
      row = parents[row];
      if (attention) alignment.push(attention[row]);
    }
    return {ids: ids.reverse(), alignment: alignment.reverse()};
  }
}

async function beamSearch(run, state) {
  const {beam, nBest, endId} = run;
  state.select(new Array(beam).fill(0));
  const history = new History();
  const identity = Array.from({length: beam}, (_, row) => row);
  // All rows are alike at first, so only the first one is alive; a dead row has -Infinity.
  let totals = identity.map((row) => (row === 0 ? 0 : -Infinity));
  let tokens = new Array(beam).fill(run.startId);
  const found = [];
  const add = (step, row, total, finished) => {
    const {ids, alignment} = history.path(step, row);
    found.push(hypothesis(run, ids, total, finished, alignment));
  };
  for (let step = 0; ; ) {
    const scores = await state.step(tokens);
    const attention = run.alignments && state.alignment(0) ? identity.map((row) => state.alignment(row)) : null;
    const following = (row) => forbidden(run, history.path(step, row).ids);
    const {ends, others} = extend(run, scores, totals, step, following);
    for (const [parent, total] of ends) add(step, parent, total, true);
    found.sort((one, other) => other.score - one.score);
    found.splice(beam);
    if (!others.length || (found.length === beam && !mayImprove(run, others[0][2], step, found[beam - 1]))) break;
    totals = new Array(beam).fill(-Infinity);
    tokens = new Array(beam).fill(endId);
    const parents = [...identity];
    others.forEach(([parent, token, total], row) => {
      parents[row] = parent;
      tokens[row] = token;
      totals[row] = total;
    });
    history.add(tokens, parents, attention);
    step += 1;
    if (step >= run.maxLength) {
      // Where unfinished ones compete, they do as ends do: among the best `beam` candidates.
      const most = run.earlyStopping ? nBest - found.length : beam - ends.length;
      others.slice(0, Math.max(0, most)).forEach(([,, total], row) => add(step, row, total, false));
      break;
    }
    if (parents.some((parent, row) => parent !== row)) state.select(parents);
    await run.onStep(history.path(step, 0).ids);
  }
  // The sort is stable: equal scores stay in the order in which they were found.
  const apart = (one, other) => run.earlyStopping ? Number(other.finished) - Number(one.finished) : 0;
  found.sort((one, other) => apart(one, other) || other.score - one.score);
  return found.slice(0, nBest);
}

/** @returns whether a hypothesis of this sum, were it to end after this step, is better than the worst finished */
function mayImprove(run, total, step, worst) {
  return !run.earlyStopping && total / (step + 1) ** run.lengthPenalty > worst.score;
}

/**
 * Chooses the continuations of a sentence: an end token among the best `beam` ends a hypothesis, and the best
 * `beam` of the others continue. Equal sums are decided by the lower row, then the lower token.
 */
function extend(run, scores, totals, step, following) {
  const {beam, endId, suppress} = run, rules = run.minLength > 0 || run.noRepeatNgram > 0;
  const count = 2 * beam + suppress.size;
  const alive = totals.flatMap((total, row) => (total > -Infinity ? [row] : []));
  const never = new Map(alive.map((row) => [row, rules ? following(row) : new Set()]));
  const most = Math.max(...Array.from(never.values(), (tokens) => tokens.size));
  const candidates = [];
  for (const row of alive) {
    try {
      for (const [token, logProb] of scores.candidates(row, Math.min(count + most, scores.vocabulary))) {
        candidates.push([row, token, never.get(row).has(token) ? -Infinity : totals[row] + logProb]);
      }
    } catch (error) {
      if (error instanceof RangeError) throw notNumbers(step);
      throw error;
    }
  }
  const must = decided(run, step);
  if (must !== null) candidates.splice(0, Infinity, ...alive.map((row) => [row, must, totals[row]]));
  candidates.sort((one, other) => other[2] - one[2] || one[0] - other[0] || one[1] - other[1]);
  const ends = [], others = [];
  let seen = 0;
  for (const [row, token, total] of candidates.slice(0, count)) {
    if (seen === 2 * beam || total === -Infinity || suppress.has(token)) continue;
    seen += 1;
    if (token === endId) {
      if (seen <= beam) ends.push([row, total]);
    } else if (others.length < beam) {
      others.push([row, token, total]);
    }
  }
  return {ends, others};
}
