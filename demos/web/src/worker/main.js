/**
 * The worker: opens one bundle and answers questions about it. A classic worker, as LiteRT.js needs one.
 *
 * Messages in: `{id, call, ...arguments}`. Messages out: `{id, result}`, `{id, error: {name, message}}`, and on
 * the way `{id, progress}`. Calls are answered in their order; `stop` ends those that came before it. A page
 * that wants another bundle ends the worker, which gives its memory back.
 */
import {EncoderTask} from './encoder.js';
import {BundleError} from './errors.js';
import {firstExamples} from './prediction_proof.js';
import {Predictor} from './predictor.js';
import {Model, RUNTIME, runtimeBytes, startRuntime} from './runtime.js';
import {PairTokenizer, Tokenizer} from './tokenizer.js';
import {TextTemplate, TranslationTokenizer} from './translation_tokenizer.js';
import {Translator} from './translator.js';
import {Turns} from './turns.js';
import {verify} from './verify.js';

const PREDICTION = 'prediction';
const ENCODERS = ['classification', 'embedding', 'masked-lm', 'token-classification', 'question-answering', 'scoring'];
const TASKS = {...Object.fromEntries(ENCODERS.map((name) => [name, EncoderTask])), [PREDICTION]: Predictor};
const EXAMPLES = 4; // of the proof, that a form offers
const BREATH_EVERY = 16; // ms of work between two looks at the messages that came

const turns = new Turns();
let runtime = null;
let bundle = null;

const calls = {
  /** Starts the runtime, which takes longest, while the page still fetches the bundle. */
  async start() {
    runtime ??= startRuntime(new URL('wasm/', self.location.href).href);
    await runtime;
  },

  /** Opens a bundle: `manifest`, and `files` as ArrayBuffers by name. */
  async open({manifest, files}) {
    checkRuntime(manifest);
    const tokenizer = manifest.task === PREDICTION ? null : readTokenizer(manifest, files);
    await calls.start();
    const model = await Model.open(new Uint8Array(files['model.tflite']), 'model.tflite');
    const Task = TASKS[manifest.task] ?? Translator;
    const task = new Task(model, manifest, tokenizer);
    bundle = {manifest, model, task, proof: files['proof.npz']};
    return {
      beams: task.widestBeam ?? 1,
      mask: task.mask ?? null,
      readsPairs: task.readsPairs ?? false,
      entails: (task.entailment ?? -1) >= 0,
      runtime: `${RUNTIME.name} ${RUNTIME.version}`,
      proven: Boolean(bundle.proof),
      examples: task instanceof Predictor ? firstExamples(task, bundle.proof && new Uint8Array(bundle.proof), EXAMPLES) : [],
      files: runtimeFiles(),
    };
  },

  async translate({text, beam, languages}, tell) {
    let breathed = 0;
    return bundle.task.translate(text, {
      beam,
      languages,
      onText: async (soFar) => {
        tell(soFar);
        if (performance.now() - breathed < BREATH_EVERY) return;
        await breath();
        breathed = performance.now();
      },
    });
  },

  classify: ({text, pair}) => bundle.task.classify(text, pair),
  choose: ({text, candidates, options}) => bundle.task.choose(text, candidates, options),
  entities: ({text}) => bundle.task.entities(text),
  answer: ({question, context, options}) => bundle.task.answer(question, context, options),
  score: ({text, pair}) => bundle.task.score(text, pair),
  fillMask: ({text, top}) => bundle.task.fillMask(text, top),
  predict: ({inputs}) => bundle.task.predict(inputs),
  embed: ({text, prompt, dimensions}) => bundle.task.embed(text, prompt, dimensions),

  async verify(_, tell) {
    if (!bundle.proof) throw new BundleError('This bundle carries no proof.npz.');
    let done = 0;
    return verify(bundle, new Uint8Array(bundle.proof), async () => {
      tell(++done);
      await breath();
    });
  },
};

function readTokenizer(manifest, files) {
  const text = (name) => new TextDecoder().decode(files[name]);
  const special = manifest.special_ids;
  const tokenizer = new Tokenizer(text('tokenizer.json'), special, 'tokenizer.json', manifest.task === 'masked-lm');
  if (manifest.text_template) {
    const template = new TextTemplate(manifest.text_template), size = manifest.model.config.vocabulary_size;
    const languages = Object.keys(template.languages).length ? manifest.languages : {};
    return new TranslationTokenizer(tokenizer, special, size, template, languages);
  }
  const target = 'target_tokenizer.json';
  if (!files[target]) return tokenizer;
  return new PairTokenizer(tokenizer, new Tokenizer(text(target), special, target), manifest.model.config.vocabulary_size);
}

/** Addresses of what the runtime was loaded from, for offline use. */
function runtimeFiles() {
  const wasm = performance.getEntriesByType('resource').map(({name}) => name).filter((name) => name.endsWith('.wasm'));
  return wasm.flatMap((address) => [address, address.replace(/\.wasm$/, '.js')]);
}

/** Lets messages in, and ends the work if one of them was `stop`. */
async function breath() {
  await new Promise((resolve) => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
  turns.check();
}

function checkRuntime(manifest) {
  const numbers = (version) => version.split('.').map(Number);
  for (const requirement of manifest.runtimes) {
    const [, name, version] = /^([^<>=\s]+)\s*>=\s*([\d.]+)$/.exec(requirement) ?? [];
    if (name !== RUNTIME.name) continue;
    const wanted = numbers(version), have = numbers(RUNTIME.version);
    const differs = wanted.findIndex((number, i) => number !== (have[i] ?? 0));
    if (differs < 0 || (have[differs] ?? 0) > wanted[differs]) return;
  }
  throw new BundleError(
    `The recipe ${manifest.recipe} may run on ${manifest.runtimes.join(' or ')}, but this page has ` +
      `${RUNTIME.name} ${RUNTIME.version}; export the bundle with another recipe.`);
}

self.onmessage = async ({data: {id, call, ...given}}) => {
  let began = performance.now();
  const tell = (progress) => self.postMessage({id, progress});
  const answer = () => {
    began = performance.now();
    return calls[call](given, tell);
  };
  try {
    const result = call === 'stop' ? turns.stop() : await turns.take(answer);
    self.postMessage({id, result, ms: performance.now() - began, memory: bundle ? runtimeBytes() : 0});
  } catch (error) {
    self.postMessage({id, error: {name: error.name, message: error.message}});
  }
};
