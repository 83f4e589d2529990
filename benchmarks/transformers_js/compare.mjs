/**
 * Measures our web app's worker and transformers.js in the same Chromium, in turns, and prints one JSON object.
 *
 *     node benchmarks/transformers_js/compare.mjs SITE MODEL ROUNDS < texts.json
 *
 * SITE is what `keras-attn web` wrote, MODEL a folder with config.json, tokenizer files and onnx/model_quantized.onnx, and
 * texts.json `{many: [...], timed: {"32": text, "128": text}}`. Each round opens a browser with an empty profile for each.
 */
import {cp, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {json} from 'node:stream/consumers';
import {fileURLToPath} from 'node:url';

import {build} from 'esbuild';

import {ask, openBundle} from '../../demos/web/drive/asking.mjs';
import {DESKTOP, launch, report} from '../../demos/web/drive/browser.mjs';
import {serve} from '../../demos/web/drive/server.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const RUNTIME = path.join(HERE, 'node_modules/onnxruntime-web/dist');
const [site, model, rounds] = process.argv.slice(2);
const {many, timed} = await json(process.stdin);
const REPEATS = 20;

/** Builds a page's folder around transformers.js. */
async function theirSite() {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'transformers-js-'));
  await build({
    entryPoints: [path.join(HERE, 'worker.mjs')], outfile: path.join(folder, 'worker.js'), bundle: true, minify: true,
    format: 'esm', target: 'es2022', platform: 'browser', logLevel: 'error', conditions: ['browser'],
  });
  await mkdir(path.join(folder, 'wasm'));
  await cp(RUNTIME, path.join(folder, 'wasm'), {recursive: true, filter: (name) => !/\.(map|ts)$/.test(name)});
  await cp(model, path.join(folder, 'model'), {recursive: true});
  await writeFile(path.join(folder, 'blank.html'), '<!doctype html><title>transformers.js</title>');
  return folder;
}

/** Opens the model in a worker of the page; `ask` is the app's. */
const openTheirs = (page) => page.evaluate(async () => {
  const worker = new Worker('worker.js', {type: 'module'});
  let asked = 0;
  self.askWorker = (call, given) => new Promise((resolve, reject) => {
    const id = ++asked;
    worker.addEventListener('message', function listen({data}) {
      if (data.id !== id) return;
      worker.removeEventListener('message', listen);
      if (data.error) reject(new Error(data.error.message));
      else resolve(data);
    });
    worker.postMessage({id, call, ...given});
  });
  await self.askWorker('open', {});
});

/** Bytes that all processes of the browser hold. */
async function memory(page) {
  const session = await page.context().browser()?.newBrowserCDPSession() ?? await page.context().newCDPSession(page);
  const {processInfo} = await session.send('SystemInfo.getProcessInfo').catch(() => ({processInfo: []}));
  const sizes = await Promise.all(processInfo.map(({id}) => resident(id)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function resident(id) {
  const {readFile} = await import('node:fs/promises');
  const status = await readFile(`/proc/${id}/status`, 'utf8').catch(() => '');
  return 1024 * Number(/VmRSS:\s*(\d+)/.exec(status)?.[1] ?? 0);
}

/** The median of numbers. */
function median(numbers) {
  return [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)];
}

/** A cold start, then the texts. */
async function measure(root, start, open) {
  const server = await serve(root);
  const {page, close} = await launch({device: DESKTOP});
  try {
    await page.goto(`${server.address}${start}`);
    const began = performance.now();
    await open(page);
    const load = performance.now() - began;
    const {result: first} = await ask(page, 'embed', {text: many[0]});
    const firstAnswer = performance.now() - began;
    const started = performance.now();
    for (const text of many) await ask(page, 'embed', {text});
    const found = {load, firstAnswer, texts: performance.now() - started, tokens: {}, first};
    for (const [length, text] of Object.entries(timed)) {
      const times = [];
      for (let i = 0; i < REPEATS; i++) times.push((await ask(page, 'embed', {text})).ms);
      found.tokens[length] = median(times.slice(REPEATS / 4));
    }
    return {...found, memory: await memory(page)};
  } finally {
    await close();
    await server.close();
  }
}

await report(async () => {
  const theirs = await theirSite(), found = [];
  try {
    for (let i = 0; i < Number(rounds); i++) {
      found.push({
        ours: await measure(path.resolve(site), 'icon.svg', openBundle),
        theirs: await measure(theirs, 'blank.html', openTheirs),
      });
    }
    return found;
  } finally {
    await rm(theirs, {recursive: true, force: true});
  }
});
