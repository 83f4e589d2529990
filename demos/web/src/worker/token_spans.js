/**
 * Where the tokens of a text stand in it: `keras_attn.device.text.token_spans`. tokenizers.js does not say it, so
 * the text is normalized character by character, and the tokens are followed through it. Indices are JavaScript's,
 * of UTF-16 units.
 */
import {InputError} from './errors.js';

// What a normalization may join: a character and its marks, Korean letters to a syllable, white space.
const CLUSTER = /\s{2,}|[\u1100-\u115f][\u1160-\u11a7]*[\u11a8-\u11ff]*|[^\p{M}]\p{M}*|\p{M}+/gsu;
// What Python's `str.strip` removes.
const BLANK = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
const SPACE = /\s/u, WORD_MARK = '\u2581', BYTE = /^<0x([0-9A-F]{2})>$/;

/**
 * @param {import('@huggingface/tokenizers').Tokenizer} tokenizer
 * @param {string} text as the tokenizer reads it
 * @returns {{offsets: [number, number][], words: number[]}} of each token, without special ones
 * @throws {InputError} the tokens cannot be followed
 */
export function tokenSpans(tokenizer, text) {
  if (!text) return {offsets: [], words: []};
  const normalized = normalize(tokenizer, text);
  if (!normalized.text) return {offsets: [], words: []};
  const parts = tokenizer.pre_tokenizer ? tokenizer.pre_tokenizer(normalized.text, {section_index: 0}) : [normalized.text];
  const bytes = new TextEncoder().encode(normalized.text).length, units = parts.reduce((sum, part) => sum + part.length, 0);
  const byteLevel = parts.length > 0 && isByteLevel(tokenizer) && (units === bytes || units === bytes + 1);
  if (byteLevel) return byBytes(tokenizer, normalized, parts, units - bytes);
  return tokenizer.model.config.continuing_subword_prefix
    ? byWords(tokenizer, normalized, parts)
    : byCharacters(tokenizer, normalized, parts);
}

/** @returns {boolean} whether the words are written as bytes before they are cut into pieces */
function isByteLevel(tokenizer) {
  const kinds = (part) => (part?.pretokenizers ? part.pretokenizers.flatMap(kinds) : [part?.type]);
  return kinds(tokenizer.tokenizer.pre_tokenizer).includes('ByteLevel');
}

/** @returns {{text: string, origin: [number, number][]}} the text, and where each of its units comes from */
function normalize({normalizer, tokenizer}, text) {
  const {type, prepend = ''} = tokenizer.normalizer ?? {};
  if (type === 'Prepend') { // stands before the whole text, not before each character
    const each = [];
    for (const character of text) {
      const span = [each.length, each.length + character.length];
      for (let i = 0; i < character.length; i++) each.push(span);
    }
    return {text: prepend + text, origin: [...Array(prepend.length).fill(each[0]), ...each]};
  }
  const whole = normalizer ? normalizer(text) : text, origin = [];
  let found = '';
  const add = (made, start, end) => {
    for (let i = 0; i < made.length; i++) origin.push([start, end]);
    found += made;
  };
  const made = (part) => (normalizer ? normalizer(part) : part);
  for (const {0: cluster, index} of text.matchAll(CLUSTER)) {
    const joined = made(cluster), characters = [...cluster];
    if (characters.length === 1 || characters.map(made).join('') !== joined) {
      // Of white space that becomes one character, the last one counts.
      const blank = characters.length > 1 && !cluster.trim() && joined.length === 1;
      add(joined, blank ? index + cluster.length - 1 : index, index + cluster.length);
      continue;
    }
    let start = index;
    for (const character of characters) {
      add(made(character), start, start + character.length);
      start += character.length;
    }
  }
  // What strips or collapses white space does so only in the whole text.
  if (found === whole) return {text: whole, origin};
  return follow(whole, found, origin);
}

/** Keeps the origins of the units that remain of a text where some were left out. */
function follow(whole, found, origin) {
  const kept = [];
  let at = 0;
  for (let i = 0; i < whole.length; i++) {
    while (at < found.length && found[at] !== whole[i]) at++;
    if (at >= found.length) throw new InputError('The characters of this text cannot be followed through its tokens.');
    kept.push(origin[at++]);
  }
  return {text: whole, origin: kept};
}

/** The span of some units of a normalized text; of none, the place where they would stand. */
function spanOf(origin, first, behind) {
  if (behind > first) return [origin[first][0], origin[behind - 1][1]];
  const at = first < origin.length ? origin[first][0] : origin.at(-1)?.[1] ?? 0;
  return [at, at];
}

/** Pieces of words, of which those that continue one are marked. */
function byWords({model}, {text, origin}, parts) {
  const offsets = [], words = [], prefix = model.config.continuing_subword_prefix;
  let at = 0;
  parts.forEach((word, number) => {
    at = text.indexOf(word, at);
    const pieces = model([word]);
    let place = at;
    for (const piece of pieces) {
      const length = piece === model.unk_token ? word.length : place > at ? piece.length - prefix.length : piece.length;
      offsets.push(spanOf(origin, place, place + length));
      words.push(number);
      place += length;
    }
    at += word.length;
  });
  return {offsets, words};
}

/** Pieces of bytes; `added` is 1 where a space was put before the text. */
function byBytes({model}, {text, origin}, parts, added) {
  const offsets = [], words = [], units = [];
  for (let i = 0; i < text.length;) {
    const character = String.fromCodePoint(text.codePointAt(i));
    const count = new TextEncoder().encode(character).length;
    for (let k = 0; k < count; k++) units.push([i, i + character.length]);
    i += character.length;
  }
  let at = -added;
  parts.forEach((word, number) => {
    for (const piece of model([word])) {
      const first = units[Math.max(at, 0)], last = units[at + piece.length - 1];
      offsets.push(last ? spanOf(origin, first[0], last[1]) : spanOf(origin, 0, 0));
      words.push(number);
      at += piece.length;
    }
  });
  return {offsets, words};
}

/** The first byte of a character in UTF-8. */
function firstByte(text, at) {
  return new TextEncoder().encode(String.fromCodePoint(text.codePointAt(at)))[0];
}

/** Pieces of a text whose spaces are marks. */
function byCharacters({model}, {text, origin}, parts) {
  const offsets = [], words = [];
  let at = 0, word = -1, waiting = 0;
  for (const piece of parts.flatMap((part) => model([part]))) {
    if (piece.startsWith(WORD_MARK) || word < 0) word++;
    words.push(word);
    const byte = BYTE.exec(piece);
    if (byte) { // one of several for a character
      const value = parseInt(byte[1], 16);
      if (waiting === 0) {
        while (at < text.length && SPACE.test(text[at]) && firstByte(text, at) !== value) at++;
        waiting = new TextEncoder().encode(String.fromCodePoint(text.codePointAt(at) ?? 0)).length;
      }
      const length = text.codePointAt(at) > 0xffff ? 2 : 1;
      offsets.push(spanOf(origin, at, at + length));
      if (--waiting === 0) at += length;
      continue;
    }
    let first = -1;
    for (const unit of piece) {
      if (unit === WORD_MARK && text[at] !== WORD_MARK) {
        if (text[at] === ' ') {
          if (first < 0) first = at;
          at++;
        }
        continue;
      }
      while (at < text.length && SPACE.test(text[at]) && !text.startsWith(unit, at)) at++;
      if (!text.startsWith(unit, at)) throw new InputError('The characters of this text cannot be followed through its tokens.');
      if (first < 0) first = at;
      at += unit.length;
    }
    // A mark that was put before the text stands where its first character does.
    const length = text.codePointAt(at) > 0xffff ? 2 : 1;
    offsets.push(first < 0 ? spanOf(origin, at, Math.min(at + length, text.length)) : spanOf(origin, first, at));
  }
  return {offsets, words};
}

/** Yields windows of a text's tokens, of at most `limit` tokens with those around it, that overlap. */
export function* windows({before, ids, after}, limit, overlap) {
  const room = limit - before.length - after.length;
  const made = (first, behind) => ({first, behind, ids: [...before, ...ids.slice(first, behind), ...after], offset: before.length});
  if (ids.length <= room) {
    yield made(0, ids.length);
    return;
  }
  if (room <= overlap || room < 1) {
    throw new InputError(`The texts have ${limit - room + overlap + 1} tokens, and the model takes ${limit} at a time; shorten the first.`);
  }
  for (let first = 0; ; first += room - overlap) {
    const behind = Math.min(first + room, ids.length);
    yield made(first, behind);
    if (behind === ids.length) return;
  }
}

/** The span of characters from a token to another, without white space around it. */
export function characters(offsets, first, last, text) {
  let [start, end] = [offsets[first][0], offsets[last][1]];
  while (start < end && BLANK.test(text[start])) start++;
  while (start < end && BLANK.test(text[end - 1])) end--;
  return start < end ? [start, end] : [offsets[first][0], offsets[last][1]];
}
