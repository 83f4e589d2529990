/** Long text into parts that a model can take, and words to tap: `keras_attn.device.text.tokenizer`. */
import {InputError} from './errors.js';

// Marks that end a sentence only before white space, as in "1.5" they do not; marks that always do; line ends.
// (A row of marks is read from its first one only, or a long row would be read as often as it has marks.)
const SENTENCE_END =
  /(?:(?<![.!?…؟۔])[.!?…؟۔]+["'”’»)\]]*(?=\s|$)|[。！？｡।॥։።။។]+["'”’»）」』)\]]*|[\n\u2028\u2029])\s*/gu;
const WRITTEN_WITHOUT_SPACES = /[\u0e00-\u0eff\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]/;
const JOINS = /[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]/;
const IN_WORD = /[\p{L}\p{N}\p{M}'’_]/u;

// Characters that are read before it is known whether they are enough, and of models that take much, for each
// token; tokens over the limit from which on it does not matter where a text was cut: `long_text.py`.
const READ_AT_FIRST = 2 ** 16, READ_PER_TOKEN = 32, READ_MORE = 8, MARGIN = 128;

/**
 * Returns the beginning of a text that holds its first `limit` tokens; all of it where it is not long.
 * @param {string} text
 * @param {number} limit
 * @param {(text: string) => number[]} encode
 */
export function beginning(text, limit, encode) {
  const count = Math.max(READ_AT_FIRST, READ_PER_TOKEN * limit);
  if (count >= text.length) return text;
  const shorter = firstCharacters(text, count);
  if (encode(shorter).length > 2 * limit + MARGIN) return shorter;
  return firstCharacters(text, READ_MORE * count);
}

/** Returns at most that many characters, without a word that this may cut, and without half a character. */
function firstCharacters(text, count) {
  if (count >= text.length) return text;
  const first = text.slice(0, count), half = count / 2;
  const space = Math.max(first.lastIndexOf(' '), first.lastIndexOf('\n'));
  return space > half ? first.slice(0, space) : first.replace(/[\ud800-\udbff]$/, '');
}

/** Cuts a text after each sentence end and its white space; joined, the parts are the text again. */
export function splitSentences(text) {
  const parts = [];
  let start = 0;
  for (const match of text.matchAll(SENTENCE_END)) {
    const end = match.index + match[0].length;
    parts.push(text.slice(start, end));
    start = end;
  }
  if (start < text.length) parts.push(text.slice(start));
  return parts;
}

/**
 * Cuts a text into as few parts as its sentence ends allow, each of at most `limit` tokens.
 * @returns {{ids: number[], separator: string}[]} ids with the end token, and the white space that followed
 * @throws {InputError} a single sentence is over the limit
 */
export function fitText(text, tokenizer, limit) {
  text = text.trim();
  if (!text) return [];
  const all = allIds(text, tokenizer, limit);
  if (all) return [{ids: all, separator: ''}];
  const parts = [], prefix = tokenizer.prefix(text);
  const part = (whole, ids) => ({ids, separator: whole.slice(whole.trimEnd().length)});
  let whole = '', wholeIds = [];
  for (const sentence of splitSentences(text.slice(prefix.length))) {
    let longer = whole + sentence;
    let ids = allIds(prefix + longer.trimEnd(), tokenizer, limit);
    if (!ids && whole) {
      parts.push(part(whole, wholeIds));
      longer = sentence;
      ids = allIds(prefix + longer.trimEnd(), tokenizer, limit);
    }
    if (!ids) throw tooLong('A sentence', prefix + longer.trimEnd(), limit, (some) => tokenizer.encode(some));
    [whole, wholeIds] = [longer, ids];
  }
  return [...parts, part(whole, wholeIds)];
}

/** @returns {number[] | null} the ids of a text; null if they are over the limit */
function allIds(text, tokenizer, limit) {
  const read = beginning(text, limit, (some) => tokenizer.encode(some));
  const ids = tokenizer.encode(read);
  return ids.length <= limit && read.length === text.length ? ids : null;
}

/** @returns {InputError} that `what`, a text over the limit, is too long: by its tokens, or if not all was read */
function tooLong(what, text, limit, encode) {
  const read = beginning(text, limit, encode);
  const [found, most] = read.length < text.length
    ? [`${text.length} characters`, `${limit} tokens`]
    : [`${encode(text).length} tokens`, `${limit}`];
  return new InputError(`${what} has ${found}, and the model takes ${most}. Shorten it, or end it earlier.`);
}

/** @returns {string} what stands between the answers so far and that to the next part */
export function between(before, separator) {
  if (separator.includes('\n')) return separator;
  return before && !JOINS.test(before.at(-1)) ? ' ' : '';
}

/**
 * Joins what tokens add to a text into words, which are what people tap.
 * @param {{text: string, tokens: number[]}[]} segments
 * @returns {{text: string, tokens: number[]}[]} joined, the texts are the whole text again
 */
export function wordsOf(segments) {
  const words = [];
  for (const {text, tokens} of segments) {
    const last = words.at(-1), before = last?.text.at(-1) ?? '', first = text[0] ?? '';
    const apart = WRITTEN_WITHOUT_SPACES.test(before) || WRITTEN_WITHOUT_SPACES.test(first);
    // White space alone cannot be tapped: it belongs to the word before it, or to the first one.
    const blank = !text.trim() || !last?.text.trim();
    const goesOn = last && (blank || (IN_WORD.test(before) && IN_WORD.test(first) && !apart));
    if (goesOn) {
      last.text += text;
      last.tokens.push(...tokens);
    } else {
      words.push({text, tokens: [...tokens]});
    }
  }
  return words;
}
