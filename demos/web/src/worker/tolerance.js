/** How an error is counted: absolute where values are small, relative where large: `keras_attn.device.proof.tolerance`. */
const LARGE = 50;
const ROUNDING = 2e-6;
const BESIDE = 8;
const IMPOSSIBLE = -1e30;

/**
 * @param {ArrayLike<number>} found
 * @param {ArrayLike<number>} reference
 * @param {boolean} [embeds] whether they are vectors, whose errors count as those of unit vectors if they are longer
 * @param {number} [logitSize] usual size of the best tokens' logits, 0 where it is not known
 * @returns {number[]} not finite where a value is not a number
 */
export function countedErrors(found, reference, embeds = false, logitSize = 0) {
  const wanted = Array.from(reference, (value) => Math.max(value, IMPOSSIBLE));
  const sizes = wanted.map(Math.abs), usual = usualSize(sizes), length = Math.hypot(...wanted);
  return wanted.map((value, k) => {
    const scale = embeds ? Math.max(1, length) : Math.max(1, Math.max(sizes[k], usual) / LARGE);
    const error = Math.abs(Math.max(found[k], IMPOSSIBLE) - value);
    if (embeds || !(logitSize > LARGE)) return error / scale;
    // Logits are rounded in proportion to their size.
    return Math.min(error / scale, Math.max(error - ROUNDING * logitSize, error * LARGE / logitSize));
  });
}

/** @returns {number} the median among the sizes nearest to 0, impossible values left out; of two in the middle the smaller */
function usualSize(sizes) {
  const nearest = sizes.filter((size) => size < -IMPOSSIBLE).sort((one, other) => one - other).slice(0, BESIDE);
  return nearest.length ? nearest[(nearest.length - 1) >> 1] : 0;
}
