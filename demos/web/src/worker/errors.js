/** What is wrong with a bundle: its message names the file, the signature or the tensor. */
export class BundleError extends Error {
  name = 'BundleError';
}

/** What is wrong with what was asked: its message can be shown as it is. */
export class InputError extends Error {
  name = 'InputError';
}
