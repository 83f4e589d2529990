/** Entities and answers: `keras_attn.device.tasks.entity_recognizer` and `answerer`. */
import {InputError} from './errors.js';
import {findSpans, readScheme} from './label_scheme.js';
import {characters, windows} from './token_spans.js';

const OVERLAP_PART = 4; // a window shares a fourth of its tokens with the next one
const WINDOW = 384, OVERLAP = 128, LONGEST = 15; // tokens of a question's windows, of what they share, of an answer

/** @returns {Promise<{label: string, text: string, start: number, end: number, score: number}[]>} in their order */
export async function entities(encoder, tokenizer, labels, text) {
  const spans = tokenizer.spans(text);
  if (!spans.ids.length) return [];
  const limit = encoder.maxTokens, room = limit - spans.before.length - spans.after.length;
  const parts = [...windows(spans, limit, Math.floor(room / OVERLAP_PART))], rows = [];
  for (const [i, window] of parts.entries()) {
    const following = parts[i + 1];
    const stop = following ? Math.floor((following.first + window.behind) / 2) : window.behind;
    const scores = await encoder.run(window.ids), width = labels.length;
    for (let token = rows.length; token < stop; token++) {
      const first = (window.offset + token - window.first) * width;
      rows.push(Array.from(scores.subarray(first, first + width), Math.exp));
    }
  }
  return findSpans(rows, readScheme(labels)).map(({kind, first, last, score}) => {
    const [start, end] = characters(spans.offsets, first, last, text);
    return {label: kind, text: text.slice(start, end), start, end, score};
  });
}

/**
 * @returns {Promise<{answers: {text: string, start: number, end: number, score: number}[], noAnswer: number}>} the
 *   best first, and the probability that there is none
 */
export async function answer(encoder, tokenizer, question, context, {top = 1, noAnswer = false} = {}) {
  for (const [name, text] of [['question', question], ['context', context]]) {
    if (!text.trim()) throw new InputError(`The ${name} is empty.`);
  }
  const spans = tokenizer.spans(question, context);
  if (!spans.ids.length) throw new InputError('The context has no tokens.');
  const limit = Math.min(encoder.maxTokens, WINDOW), found = new Map();
  let none = 1;
  for (const window of windows(spans, limit, Math.min(Math.floor(limit / 2), OVERLAP))) {
    const scores = await encoder.run(window.ids), length = window.ids.length;
    const [start, end] = [0, 1].map((row) => probabilities(scores.subarray(row * length, (row + 1) * length), window));
    none = Math.min(none, start[0] * end[0]);
    for (const {first, last, score} of bestSpans(start.slice(1), end.slice(1), top)) {
      const place = wholeWords(spans.words, window, window.first + first, window.first + last);
      found.set(String(place), {place, score: Math.max(score, found.get(String(place))?.score ?? 0)});
    }
  }
  const answers = [...found.values()].map(({place: [first, last], score}) => {
    const [start, end] = characters(spans.offsets, first, last, context);
    return {text: context.slice(start, end), start, end, score};
  });
  if (noAnswer) answers.push({text: '', start: 0, end: 0, score: none});
  answers.sort((one, other) => other.score - one.score);
  return {answers: answers.slice(0, top), noAnswer: none};
}

/** The probabilities of the first token, then of the context's. */
function probabilities(scores, window) {
  const some = [scores[0], ...scores.subarray(window.offset, window.offset + window.behind - window.first)];
  const most = some.reduce((best, value) => Math.max(best, value), -Infinity);
  const powers = some.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

export function bestSpans(start, end, top) {
  const found = [];
  start.forEach((probability, first) => {
    for (let last = first; last < Math.min(first + LONGEST, end.length); last++) {
      const score = probability * end[last];
      if (found.length === top && !(score > found.at(-1).score)) continue;
      found.push({first, last, score});
      found.sort((one, other) => other.score - one.score);
      found.length = Math.min(found.length, top);
    }
  });
  return found;
}

/** Tokens `first` to `last` with all others of their first and of their last word that are in the window. */
function wholeWords(words, window, first, last) {
  while (first > window.first && words[first - 1] === words[first]) first--;
  while (last + 1 < window.behind && words[last + 1] === words[last]) last++;
  return [first, last];
}
