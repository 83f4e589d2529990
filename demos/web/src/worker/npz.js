/** Reads `proof.npz`: arrays by name. */
import {unzipSync} from 'fflate';

import {BundleError} from './errors.js';

const KINDS = {'|u1': Uint8Array, '<i4': Int32Array, '<f4': Float32Array, '<f8': Float64Array, '<i8': BigInt64Array};

/**
 * @param {Uint8Array} content
 * @returns {Record<string, {shape: number[], data: ArrayLike<number>}>}
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
  if (!KINDS[kind] || sizes === undefined || header.includes("'fortran_order': True")) {
    throw new BundleError(`proof.npz: ${name} is not an array that this page reads.`);
  }
  const shape = sizes.split(',').filter((size) => size.trim()).map(Number);
  // A copy, since numbers must lie at multiples of their size.
  return {shape, data: new KINDS[kind](bytes.slice(first + length).buffer)};
}
