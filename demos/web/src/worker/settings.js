/** The digest of a manifest's fields, as Python computes it: SHA-256 of `json.dumps(fields, sort_keys=True)`. */

/** @returns {string} JSON as Python writes it: sorted keys, spaces behind commas and colons, ASCII only */
export function pythonJson(value) {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (value && typeof value === 'object') {
    const parts = Object.keys(value).sort(byCodePoints).map((key) => `${pythonText(key)}: ${pythonJson(value[key])}`);
    return `{${parts.join(', ')}}`;
  }
  if (typeof value === 'string') return pythonText(value);
  return typeof value === 'number' ? pythonNumber(value) : JSON.stringify(value ?? null);
}

function pythonText(text) {
  const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, escaped);
}

/** Whole numbers have no point, of whatever type they were: the digest is made so. */
function pythonNumber(number) {
  if (Number.isInteger(number)) return BigInt(number).toString();
  if (Math.abs(number) >= 1e-4) return String(number);
  return number.toExponential().replace(/e-(\d)$/, 'e-0$1');
}

/** JavaScript's own order is that of halves of characters. */
function byCodePoints(one, other) {
  const left = Array.from(one, (each) => each.codePointAt(0)), right = Array.from(other, (each) => each.codePointAt(0));
  const differs = left.findIndex((code, i) => code !== right[i]);
  return differs < 0 ? left.length - right.length : left[differs] - (right[differs] ?? -1);
}

// Fractions of the square roots of the first 8 primes, and of the cube roots of the first 64: FIPS 180-4.
const PRIMES = Array.from({length: 312}, (_, i) => i).filter((n) => n > 1 && !Array.from({length: n - 2}, (_, i) => i + 2).some((d) => n % d === 0));
const fraction = (number) => Math.floor((number % 1) * 2 ** 32) >>> 0;
const STATE = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
const ROUNDS = PRIMES.slice(0, 64).map((prime) => fraction(Math.cbrt(prime)));

/**
 * SHA-256 of a text in UTF-8. Browsers have their own only at addresses of HTTPS, and a proof is repeated at others, too.
 * @returns {string} in hexadecimal
 */
export function sha256(text) {
  const bytes = new TextEncoder().encode(text), blocks = (bytes.length + 9 + 63) >> 6;
  const padded = new Uint8Array(blocks * 64), view = new DataView(padded.buffer);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length << 3);
  const state = Uint32Array.from(STATE), words = new Uint32Array(64);
  for (let first = 0; first < padded.length; first += 64) addBlock(state, view, first, words);
  return Array.from(state, (word) => word.toString(16).padStart(8, '0')).join('');
}

function addBlock(state, view, first, words) {
  const turn = (word, by) => (word >>> by) | (word << (32 - by));
  for (let i = 0; i < 16; i++) words[i] = view.getUint32(first + 4 * i);
  for (let i = 16; i < 64; i++) {
    const one = words[i - 15], other = words[i - 2];
    words[i] = words[i - 16] + words[i - 7] + (turn(one, 7) ^ turn(one, 18) ^ (one >>> 3)) +
      (turn(other, 17) ^ turn(other, 19) ^ (other >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[i] + words[i]) | 0;
    const other = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + other) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] += word; });
}
