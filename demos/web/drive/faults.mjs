/**
 * Breaks things on purpose and prints what the page says and whether it recovers, as one JSON object by fault.
 *
 *     node demos/web/drive/faults.mjs SITE GOOD NOT_A_MODEL WRONG_TOKENIZER [FOLDER]
 *
 * The names are those of the site's bundles: one that works, one whose model file has the right hash but is no
 * model, and one with the tokenizer of another model. Pictures go to FOLDER.
 */
import path from 'node:path';

import {launch, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site, good, notAModel, wrongTokenizer, pictures] = process.argv.slice(2);

/** Opens the site under a fault, and returns what is said; `mend` undoes the fault before the page tries again. */
async function under(name, {prepare = () => {}, start = good, mend = () => {}, recover = tryAgain}) {
  const server = await serve(path.resolve(site));
  const browser = await launch();
  const {page} = browser;
  try {
    await page.addInitScript((bundle) => localStorage.getItem('bundle') ?? localStorage.setItem('bundle', bundle), start);
    await prepare({server, ...browser});
    await page.goto(server.address);
    await page.locator('#notice:not([hidden])').waitFor();
    const said = {
      title: await page.innerText('#notice-title'),
      text: await page.innerText('#notice-text'),
      state: await page.getAttribute('#state', 'data-state'),
    };
    if (pictures) await page.screenshot({path: path.join(pictures, `fault-${name}.png`)});
    await mend({server, ...browser});
    await recover(page);
    await page.waitForFunction(() => document.getElementById('state').dataset.state === 'ready');
    await page.fill('#text', 'a text');
    await page.tap('#go');
    await page.locator('.card[data-ids] #figures').waitFor();
    return {...said, recovered: await page.getAttribute('.card', 'data-ids')};
  } finally {
    await browser.close();
    await server.close();
  }
}

async function tryAgain(page) {
  await page.tap('#notice-action');
}

async function chooseGood(page) {
  await page.selectOption('#bundle', good);
}

function damaged(response, content, head) {
  content[content.length >> 1] ^= 0xff;
  response.writeHead(200, head).end(content);
}

function cut(response, content, head) {
  response.writeHead(200, head);
  response.write(content.subarray(0, content.length >> 1), () => setTimeout(() => response.destroy(), 50));
}

/** What some networks answer, whatever is asked for. */
function signIn(response) {
  response.writeHead(200, {'Content-Type': 'text/html'}).end('<!doctype html><title>Sign in</title>');
}

function ofAnotherFormat(response, content) {
  const manifest = {...JSON.parse(content.toString()), format_version: 1};
  response.writeHead(200, {'Content-Type': 'application/json'}).end(JSON.stringify(manifest));
}

async function fillStorage({page, context, server}) {
  const session = await context.newCDPSession(page);
  await session.send('Storage.overrideQuotaForOrigin', {origin: new URL(server.address).origin, quotaSize: 1000});
}

async function freeStorage({page, context, server}) {
  const session = await context.newCDPSession(page);
  await session.send('Storage.overrideQuotaForOrigin', {origin: new URL(server.address).origin});
}

await report(async () => ({
  damaged: await under('damaged', {
    prepare: ({server}) => server.faults.set(`${good}/model.tflite`, damaged),
    mend: ({server}) => server.faults.clear(),
  }),
  interrupted: await under('interrupted', {
    prepare: ({server}) => server.faults.set(`${good}/model.tflite`, cut),
    mend: ({server}) => server.faults.clear(),
  }),
  signIn: await under('sign-in', {
    prepare: ({server}) => server.faults.set('.json', signIn),
    mend: ({server}) => server.faults.clear(),
  }),
  otherFormat: await under('other-format', {
    prepare: ({server}) => server.faults.set(`${good}/manifest.json`, ofAnotherFormat),
    mend: ({server}) => server.faults.clear(),
  }),
  missing: await under('missing', {
    prepare: ({server}) => server.faults.set(`${good}/tokenizer.json`, (response) => response.writeHead(404).end()),
    mend: ({server}) => server.faults.clear(),
  }),
  notAModel: await under('not-a-model', {start: notAModel, recover: chooseGood}),
  wrongTokenizer: await under('wrong-tokenizer', {start: wrongTokenizer, recover: chooseGood}),
  noWasm: await under('no-wasm', {
    prepare: ({page}) => page.addInitScript(() => {
      if (!sessionStorage.getItem('mended')) delete self.WebAssembly;
    }),
    mend: ({page}) => page.evaluate(() => sessionStorage.setItem('mended', 'yes')),
  }),
  storageFull: await under('storage-full', {prepare: fillStorage, mend: freeStorage}),
}));
