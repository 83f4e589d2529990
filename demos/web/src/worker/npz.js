/** Reads `proof.npz`: arrays by name. */
import {unzipSync} from 'fflate';

import {BundleError} from './errors.js';

const KINDS = {'|u1': Uint8Array, '<i4': Int32Array, '<f4': Float32Array, '<f8': Float64Array, '<i8': BigInt64Array};

/**
 * @param {Uint8Array} content
 * @returns {Record<string, {shape: number[], data: any}>} `data`: numbers in row order, or texts
 */
export function readNpz(content) {
  let files;
  try {
    files = unzipSync(content);
  } catch (error) {
    throw new BundleError(`proof.npz cannot be read: ${error.message}`);
  }
  return Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [name.replace(/\.npy$/, ''), readNpy(bytes, name)]));
}

function readNpy(bytes, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const long = bytes[6] >= 2;
  const length = long ? view.getUint32(8, true) : view.getUint16(8, true), first = long ? 12 : 10;
  const header = new TextDecoder('latin1').decode(bytes.subarray(first, first + length));
  const [, kind] = /'descr': '([^']+)'/.exec(header) ?? [], [, sizes] = /'shape': \(([^)]*)\)/.exec(header) ?? [];
  const [, characters] = /^<U(\d+)$/.exec(kind) ?? [];
  if (!(KINDS[kind] || characters) || sizes === undefined || header.includes("'fortran_order': True")) {
    throw new BundleError(`proof.npz: ${name} is not an array that this page reads.`);
  }
  const shape = sizes.split(',').filter((size) => size.trim()).map(Number);
  // A copy, since numbers must lie at multiples of their size.
  const content = bytes.slice(first + length).buffer;
  if (characters) return {shape, data: texts(new Uint32Array(content), Number(characters))};
  return {shape, data: new KINDS[kind](content)};
}

/** Texts of as many code points each, filled up with 0. */
function texts(codes, size) {
  return Array.from({length: size && codes.length / size}, (_, i) =>
    String.fromCodePoint(...codes.subarray(i * size, (i + 1) * size)).replace(/\0+$/, ''));
}
