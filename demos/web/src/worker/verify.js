/** Repeats a bundle's proof in this browser, check by check: `keras_attn.device.proof.verify`. */
import {Encoder} from './encoder.js';
import {BundleError} from './errors.js';
import {readNpz} from './npz.js';
import {predictionChecks, settingsChecks} from './prediction_proof.js';
import {Predictor} from './predictor.js';
import {ENCODER_ARRAYS, measure, measureEncoder, Proof, STEP_ARRAYS, turnedChange} from './proof.js';
import {RUNTIME} from './runtime.js';
import {checkTexts} from './text_proof.js';

// Scores of a model that ignores its source change only by rounding.
const LEAST_CHANGE = 1e-4;

/**
 * @param {object} opened a bundle: `manifest`, `model`, `task`
 * @param {Uint8Array} content of `proof.npz`
 * @param {() => Promise<void>} onProgress called after each input
 * @returns {Promise<{ok: boolean, runtime: string, rungs: object[]}>} as `keras-attn verify --json` prints it
 */
export async function verify({manifest, model, task}, content, onProgress) {
  const checks = [];
  const runChecks = async (name, what) => {
    try {
      checks.push(...[await what()].flat());
    } catch (error) {
      checks.push({name, ok: false, detail: error.message, figures: {}});
    }
    return checks.at(-1).ok;
  };
  const done = () => ({
    ok: checks.every((check) => check.ok),
    runtime: `${RUNTIME.name} ${RUNTIME.version}`,
    rungs: checks,
  });
  const ready = await runChecks('signatures', () => {
    checkSignatures(model, manifest.signatures);
    (task.encoder ?? task.steps ?? task).prepare();
    const detail = `${model.signatures.length} signatures, shapes and roles right`;
    return {name: 'signatures', ok: true, detail, figures: {}};
  });
  if (!ready) return done();
  if (task instanceof Predictor) {
    const held = await runChecks('scores', () => predictionChecks(task, content, onProgress));
    if (held) await runChecks('texts', () => settingsChecks(manifest, content));
    return done();
  }
  const checkScores = task.encoder instanceof Encoder ? checkEncoder : checkSteps;
  if (!(await runChecks('scores', () => checkScores(task, manifest.special_ids, content, onProgress)))) return done();
  await runChecks('texts', () => checkTexts({manifest, task}, readNpz(content).texts));
  return done();
}

function checkSignatures(model, described) {
  const names = Object.keys(described).sort();
  if (String(names) !== String(model.signatures)) {
    throw new BundleError(`model.tflite has the signatures ${model.signatures}, and the manifest ${names}.`);
  }
  for (const name of names) {
    const signature = model.signature(name);
    for (const side of ['inputs', 'outputs']) {
      const shown = (tensor) => (tensor ? `${tensor.dtype} [${tensor.shape}]` : 'nothing');
      const found = signature[side], wanted = described[name][side];
      for (const tensor of new Set([...Object.keys(found), ...Object.keys(wanted)])) {
        if (shown(found[tensor]) !== shown(wanted[tensor])) {
          throw new BundleError(
            `signature '${name}', ${side} '${tensor}' is ${shown(found[tensor])}, and the manifest says ` +
              `${shown(wanted[tensor])}.`);
        }
      }
    }
  }
}

async function checkSteps({steps}, special, content, onProgress) {
  const proof = new Proof(content, STEP_ARRAYS);
  const measured = {};
  for (const rows of steps.rowCounts) measured[rows] = await measure(steps, proof, special, rows, onProgress);
  const all = Object.values(measured);
  const largest = Math.max(...all.map((figures) => figures.max_error));
  const mean = Math.max(...all.map((figures) => figures.mean_error));
  const agreement = Math.min(...all.map((figures) => figures.token_agreement));
  const greedy = Math.min(...all.map((figures) => figures.greedy_agreement));
  const change = await turnedChange(steps, proof, special);
  return [
    scoresCheck(largest, mean, proof, {by_rows: measured}, `${all[0].steps} steps of ${proof.length} sentences`),
    {
      name: 'tokens',
      ok: agreement >= proof.minAgreement,
      detail: `${percent(agreement)} of best tokens agree, ${percent(proof.minAgreement)} needed; ` +
        `${percent(greedy)} of greedy outputs are equal`,
      figures: {token_agreement: agreement, greedy_agreement: greedy},
    },
    changeCheck('shuffled', 'turned sources change the scores', change.mean_change, all[0].mean_error, change),
  ];
}

async function checkEncoder({encoder}, special, content, onProgress) {
  const proof = new Proof(content, ENCODER_ARRAYS);
  const {figures, changes, embeds} = await measureEncoder(encoder, proof, onProgress);
  const {agreement} = figures;
  return [
    scoresCheck(figures.max_error, figures.mean_error, proof, figures, `${figures.texts} texts`),
    {
      name: 'answers',
      ok: agreement >= proof.minAgreement,
      detail: embeds
        ? `mean cosine ${agreement.toFixed(5)}, ${proof.minAgreement.toFixed(5)} needed`
        : `${percent(agreement)} of best answers agree, ${percent(proof.minAgreement)} needed`,
      figures: {agreement},
    },
    changeCheck('exchanged', 'exchanged texts change the values', changes, figures.mean_error, {mean_change: changes}),
  ];
}

function scoresCheck(largest, mean, proof, figures, over) {
  return {
    name: 'scores',
    ok: largest <= proof.maxError && mean <= proof.meanError,
    detail: `largest difference ${largest.toPrecision(3)} of ${proof.maxError.toPrecision(3)} accepted, mean ` +
      `${mean.toPrecision(3)} of ${proof.meanError.toPrecision(3)}, over ${over}`,
    figures,
  };
}

function changeCheck(name, what, changes, meanError, figures) {
  const least = Math.max(LEAST_CHANGE, meanError);
  const beyond = changes.filter((change) => change > least).length;
  return {
    name,
    ok: !changes.length || beyond * 2 > changes.length,
    detail: `${beyond} of ${changes.length} ${what} by more than ${least.toPrecision(2)}`,
    figures,
  };
}

function percent(share) {
  return `${(100 * share).toFixed(2)}%`;
}
