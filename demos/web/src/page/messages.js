/** What went wrong, in words: what happened, and what can be done. */

/** A bundle could not be fetched: `kind` is unreachable, missing, interrupted, broken or unsupported. */
export class LoadError extends Error {
  name = 'LoadError';

  /** @param {string} kind @param {string} message */
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const RETRY = 'Try again';

const LOADING = {
  unreachable: ['The model could not be fetched', 'There seems to be no connection. Models that were opened before work offline.'],
  missing: ['A file of the model is missing', 'Write the site again with keras-attn web.'],
  interrupted: ['The download was interrupted', 'What was fetched before is kept; try again when the connection is better.'],
  broken: ['The model file is damaged', 'Fetch it again; if that does not help, export the bundle again.'],
  unsupported: ['This page cannot use the model', 'Load the page again; if that does not help, write the site again with keras-attn web.'],
};

/**
 * @param {Error & {kind?: string}} error
 * @returns {{title: string, text: string, action: string}}
 */
export function explainLoading(error) {
  if (error instanceof LoadError) {
    const [title, advice] = LOADING[error.kind];
    return {title, text: `${error.message} ${advice}`, action: RETRY};
  }
  if (error.name === 'BundleError') {
    const title = error.message.includes('tokenizer') ? 'The tokenizer does not fit' : 'This model cannot run here';
    return {title, text: sentence(error.message), action: RETRY};
  }
  return {title: 'The model could not be started', text: sentence(error.message), action: RETRY};
}

export const NO_WASM = {
  title: 'This browser cannot run the model',
  text: 'It has no WebAssembly, or it is switched off, as in some private or lockdown modes. A current Chrome, Edge, Firefox or Safari has it.',
  action: 'Load the page again',
};

function sentence(text) {
  const line = text.trim();
  return /[.!?]$/.test(line) ? line : `${line}.`;
}
