/** transformers.js as a page uses it: a worker that embeds texts with a model of its own folder. */
import {env, pipeline} from '@huggingface/transformers';

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = '/'; // a whole address would be taken for a remote one
env.useBrowserCache = false;
env.backends.onnx.wasm.wasmPaths = new URL('./wasm/', self.location).href;
env.backends.onnx.wasm.numThreads = 1;

let embedder;

self.onmessage = async ({data: {id, call, text}}) => {
  try {
    const began = performance.now();
    let result = null;
    if (call === 'open') embedder = await pipeline('feature-extraction', 'model', {dtype: 'q8', device: 'wasm'});
    else result = Array.from((await embedder(text, {pooling: 'mean', normalize: true})).data);
    self.postMessage({id, result, ms: performance.now() - began});
  } catch (error) {
    self.postMessage({id, error: {message: error.stack ?? String(error)}});
  }
};
