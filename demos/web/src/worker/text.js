/** Long text into parts that a model can take, and words to tap: `keras_attn.device.text`. */
import {InputError} from './errors.js';

// Marks that end a sentence only before white space, as in "1.5" they do not; marks that always do; line ends.
const SENTENCE_END =
  /(?:[.!?…؟۔]+["'”’»)\]]*(?=\s|$)|[。！？｡।॥։።။។]+["'”’»）」』)\]]*|[\n\u2028\u2029])\s*/gu;
const WRITTEN_WITHOUT_SPACES = /[\u0e00-\u0eff\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]/;
const JOINS = /[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]/;
const IN_WORD = /[\p{L}\p{N}\p{M}'’_]/u;

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
  const all = tokenizer.encode(text);
  if (all.length <= limit) return [{ids: all, separator: ''}];
  const parts = [], prefix = tokenizer.prefix(text);
  const part = (whole, ids) => ({ids, separator: whole.slice(whole.trimEnd().length)});
  let whole = '', wholeIds = [];
  for (const sentence of splitSentences(text.slice(prefix.length))) {
    let longer = whole + sentence;
    let ids = tokenizer.encode(prefix + longer.trimEnd());
    if (ids.length > limit && whole) {
      parts.push(part(whole, wholeIds));
      longer = sentence;
      ids = tokenizer.encode(prefix + longer.trimEnd());
    }
    if (ids.length > limit) {
      throw new InputError(
        `A sentence has ${ids.length} tokens, and the model takes ${limit}. Shorten it, or end it earlier.`);
    }
    [whole, wholeIds] = [longer, ids];
  }
  return [...parts, part(whole, wholeIds)];
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
